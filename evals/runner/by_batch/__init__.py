"""Runs whose requests travel in batches: what their journal knows of these."""
