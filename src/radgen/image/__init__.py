"""Floor 5: resample, normalise, discretise, filter."""
