"""Choices by token probabilities: what was read, its means over questions, and its rows in tables."""
