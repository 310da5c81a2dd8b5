"""Scores of many variants: learned, tuned and judged in folds."""
