"""Which claims a run supports, model by model, and what is missing for the others."""
