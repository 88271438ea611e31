"""What is shown while something is at work."""
