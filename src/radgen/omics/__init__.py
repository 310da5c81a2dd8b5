"""Floor 5: normalise, gene sets, modules, signatures."""
