"""Inference over many phenotypes at once."""
