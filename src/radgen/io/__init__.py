"""Floor 4: one file format a module."""
