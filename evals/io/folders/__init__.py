"""What may lie in a folder that emeval writes in: files that are none, links, and what killed commands left."""
