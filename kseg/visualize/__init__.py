"""Images that explain: overlays, legends, grids, curves, confusion matrices, activations."""
