"""Floor 3: arrays and tables to matplotlib Axes."""
