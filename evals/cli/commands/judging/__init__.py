"""Commands about what judges are asked."""
