"""What is asked and what came back, as values, and the journal that keeps them. Imports io and statistics."""
