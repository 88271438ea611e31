"""Replies that were paid for once: an answer cache that runs share."""
