"""How much of a phenotype is inherited, and what two phenotypes share."""
