"""The arms of a study through the whole chain, and one report."""
