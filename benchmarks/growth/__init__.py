"""How commands grow with the number of recorded trials."""
