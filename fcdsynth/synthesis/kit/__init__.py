"""The blinded reading kit: what readers get, what they return, what it says."""
