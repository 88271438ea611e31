"""Judges: pure functions that word a question about a response and read the reply into a verdict.

Nothing here does I/O or knows a server, so every reading rule can be tested on plain text and a stored answer can be
judged again at any time.
"""
