"""How many questions and samples a run needs, from a pilot."""
