"""Instance-wise prediction: boxes that may hold objects, their cache, and predicting each crop."""
