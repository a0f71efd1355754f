"""Other ways of making a mask: a transplanted training lesion, and the literature's ellipsoid."""
