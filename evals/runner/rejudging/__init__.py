"""Stored answers judged again: by a judge that then counts, or beside the one that does."""
