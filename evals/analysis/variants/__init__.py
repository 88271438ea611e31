"""Variants of a trigger: which of them set a model off, and whether more so the nearer they are to it."""
