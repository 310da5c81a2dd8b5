"""Floor 8: outcome prediction with honest validation."""
