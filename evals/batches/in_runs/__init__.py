"""Requests by file as a part of a run, which waits for them."""
