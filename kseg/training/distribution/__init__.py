"""More than one device: strategies, the cluster of `TF_CONFIG`, and its workers."""
