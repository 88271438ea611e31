"""Servers that join a run while it goes on, and leave it."""
