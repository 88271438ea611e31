"""Sampling until a cell is decided: the rule, the draws, the state."""
