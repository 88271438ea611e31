"""Drift: anchors that judges are asked about again, and whether model or judge has changed."""
