"""What the monitors of a run said of its trials, and how well each tells misaligned answers from the others."""
