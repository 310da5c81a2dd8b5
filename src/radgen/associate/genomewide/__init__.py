"""Genome-wide scans, their background, sets of variants and pooling of sites."""
