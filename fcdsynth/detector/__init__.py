"""Stage 3: the lesion detector."""
