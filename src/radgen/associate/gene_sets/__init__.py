"""Sets and modules of genes against images."""
