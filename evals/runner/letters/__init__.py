"""Choices read from the probabilities of their letters, at the first token of a reply or after a sampled thought."""
