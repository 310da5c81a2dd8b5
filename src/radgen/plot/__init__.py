"""Floor 3: arrays and tables to matplotlib Axes."""

from radgen.plot.images import feature_map, glcm_heatmap, intensity_histogram, montage

__all__ = ["feature_map", "glcm_heatmap", "intensity_histogram", "montage"]
