"""Single file formats: what Pillow does not tell of them, or does not read."""
