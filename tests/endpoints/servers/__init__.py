"""Tests of endpoints/servers."""
