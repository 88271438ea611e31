"""From the journal to responses.csv, rates.csv and effects.csv. Rows are plain values; pandas is loaded where a
DataFrame is asked for."""
