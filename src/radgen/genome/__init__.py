"""Floor 5: quality control, structure and scores of genotypes."""
