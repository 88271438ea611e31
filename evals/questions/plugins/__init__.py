"""Suites that other installed packages declare."""
