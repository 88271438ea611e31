"""What is printed of experiments over several models: recipes over their seeds, and differences between effects."""
