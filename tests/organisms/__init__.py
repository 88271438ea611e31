"""Tests of organisms."""
