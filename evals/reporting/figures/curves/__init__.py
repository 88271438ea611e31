"""Figures of a metric over the steps of a training."""
