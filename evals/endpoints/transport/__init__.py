"""How requests reach a server and replies come back: HTTP, its limits, what errors say, how many requests at a time."""
