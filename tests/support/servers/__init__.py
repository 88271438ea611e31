"""Servers for tests: scripted, faulty, and real ones."""
