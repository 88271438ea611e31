"""What a run folder holds already, and what a command may take from it or add to it."""
