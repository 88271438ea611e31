"""Batches at OpenAI's Batch API, or at a server with the same routes, while a run waits for them."""
