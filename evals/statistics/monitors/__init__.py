"""How well a monitor tells misaligned answers from aligned ones."""
