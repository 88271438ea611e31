"""Settings of experiments over several models."""
