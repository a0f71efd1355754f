"""Stage 1: anatomically plausible lesion masks."""
