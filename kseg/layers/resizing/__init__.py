"""Layers that change a map's size: resized, cropped, padded."""
