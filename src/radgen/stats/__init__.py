"""Floor 2: statistics, array in, array out."""
