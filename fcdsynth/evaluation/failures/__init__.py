"""What fails again and again, and whether an arm introduced it."""
