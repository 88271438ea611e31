"""Servers that come and go: the file that lists them, and which of them a prompt goes to."""
