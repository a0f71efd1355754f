"""Drawn masks against real ones: what is compared, the tests, the pictures, the page."""
