"""Stage 4: what a detector is worth, with intervals."""
