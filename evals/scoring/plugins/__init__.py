"""Judges and metrics that other installed packages declare."""
