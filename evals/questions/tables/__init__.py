"""Tables of the user's own questions, one a row: CSV, JSON, JSON Lines and Parquet."""
