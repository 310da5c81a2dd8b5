"""Floor 9: results to one self-contained HTML report."""
