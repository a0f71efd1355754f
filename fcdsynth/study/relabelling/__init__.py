"""Re-labelling measured where the truth is known: classification sets with planted noise."""
