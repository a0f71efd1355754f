"""A test set that stays hidden until a plan is locked."""
