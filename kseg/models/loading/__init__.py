"""Trained models from files and from the presets, also for other classes."""
