"""Planted errors: wrong copies of a cohort's masks, to learn what wrong looks like there."""
