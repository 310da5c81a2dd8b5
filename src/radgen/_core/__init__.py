"""Floor 1: what every floor needs and no user calls: checks, registry, digest, rng, progress."""
