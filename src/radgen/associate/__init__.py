"""Floor 8: associations of images with genes."""
