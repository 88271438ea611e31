"""Tests of runner/preflight."""
