"""From options to everything a run will ask, its cost and its manifest; all that can be wrong without a server."""
