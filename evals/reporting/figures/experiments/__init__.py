"""Figures of experiments over several models: recipes over their seeds, and differences between effects."""
