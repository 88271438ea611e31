"""What `--help` prints: commands in groups, options in panels, examples at the end."""
