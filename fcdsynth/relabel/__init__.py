"""Stage 5: real masks that are probably wrong."""
