"""Segmentation networks, one paper a file, and the catalog of their names."""
