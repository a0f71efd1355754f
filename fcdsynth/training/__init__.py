"""What the two trained stages share."""
