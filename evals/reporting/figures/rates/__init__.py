"""Figures of rates: all models together, then by question."""
