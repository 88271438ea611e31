"""Choices by token probabilities, on the console."""
