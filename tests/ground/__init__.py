"""Tests of what every wing may import."""
