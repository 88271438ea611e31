"""Attacks on emeval, each with real servers, files and processes."""
