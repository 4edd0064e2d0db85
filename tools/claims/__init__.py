"""The papers' claims with error bars: heads trained on cached features, and tests that need no training."""
