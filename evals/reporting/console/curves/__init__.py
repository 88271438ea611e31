"""The output of `emeval curve`."""
