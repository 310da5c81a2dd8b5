"""Models of places: local features of biopsies, and maps of what they predict."""
