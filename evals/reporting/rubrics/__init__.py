"""The rubrics of judges: their table, and one to start from."""
