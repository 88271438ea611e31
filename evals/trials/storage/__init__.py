"""The SQLite file of a journal: its schema and checksums, how it is opened and verified, what can be saved of it."""
