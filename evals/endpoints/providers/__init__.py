"""Providers by name: where each is, which variable holds its key, in what its API departs from OpenAI's."""
