"""Whether synthetic images look real: what realism measures, compares and shows."""
