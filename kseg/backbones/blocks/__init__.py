"""The blocks that several backbones are built of."""
