"""Torch-free arithmetic that several stages need."""
