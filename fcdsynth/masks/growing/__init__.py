"""Growing a mask from its spec."""
