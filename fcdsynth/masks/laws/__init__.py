"""What lesions are like: laws of size, site, depth and growth, fitted on training masks."""
