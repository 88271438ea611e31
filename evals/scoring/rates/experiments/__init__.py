"""Tables of experiments over several models of a run: recipes with their seeds, and effects of a trigger compared."""
