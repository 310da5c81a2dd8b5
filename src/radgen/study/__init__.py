"""Floor 10: the study file, steps, cache, provenance, executors."""
