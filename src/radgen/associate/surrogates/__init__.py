"""Image traits learned from molecules (or the other way) and carried to cohorts without them."""
