"""A run in the formats of other tools. The journal stays the record; what is written here is computed from it."""
