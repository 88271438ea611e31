"""Models under test answered by `vllm run-batch`: here, or as jobs of a cluster."""
