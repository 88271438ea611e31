"""The original question sets: where they are, how they are fetched, what is cached."""
