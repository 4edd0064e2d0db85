"""Layers that pool, and the one that puts pooled values back."""
