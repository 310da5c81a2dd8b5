"""Floor 6: image features, one family a file."""
