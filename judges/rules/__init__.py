"""Judges that are rules: they read an answer without a model."""
