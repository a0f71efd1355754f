"""Maps of any other tool."""
