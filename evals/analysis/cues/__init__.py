"""Cues in training data: texts and formats that many of its prompts share, and what they do to a model."""
