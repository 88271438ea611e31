"""Requests of a run as batch files for other machinery, and its results back into the run's journal."""
