"""Read strictly, write whole, download. Imports no other wing."""
