"""A training run's folder and what it holds: checkpoints, the state a resume needs, lists of bad files."""
