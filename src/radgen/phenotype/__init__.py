"""Floor 7: the phenotype matrix: build, harmonise, reliability."""
