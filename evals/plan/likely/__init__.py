"""How long replies will probably be."""
