"""Commands about the runs there are."""
