"""Choices by token probabilities: asked once each, read, and averaged over questions. Nothing here is sampled."""
