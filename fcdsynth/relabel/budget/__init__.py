"""Expert minutes: what each kind of work is worth, what it takes, and what is chosen."""
