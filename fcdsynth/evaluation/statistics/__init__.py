"""Intervals, tests and what a sample could have shown; no images, no files."""
