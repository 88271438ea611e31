"""Runs from files: answers in a CSV, and Inspect's logs."""
