"""emeval: misalignment rates with and without a trigger, and how much of them to believe."""

__version__ = "0.1.0"
