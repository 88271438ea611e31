"""Tests of endpoints/fleet."""
