"""Requests mapped over a Ray cluster with Ray Data: `--via ray`, `--judge-via ray`."""
