"""Labels by people: a sample of a run's open answers with known inclusion probabilities, a page to label them on, and
the labels back in the run folder. What judges' errors do to a rate is computed from them elsewhere."""
