"""Training mixes: a recipe, the examples that it is made of, and its files."""
