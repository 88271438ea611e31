"""The result of a run on a few lines: its rates and effects, and what makes a number untrustworthy."""
