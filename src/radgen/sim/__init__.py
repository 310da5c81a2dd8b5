"""Floor 4: studies with a known truth."""
