"""What other installed packages add to emeval."""
