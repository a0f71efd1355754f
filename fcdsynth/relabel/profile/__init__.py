"""Profiles: what lies in, along and around a mask, in every map there is of its subject."""
