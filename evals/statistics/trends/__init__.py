"""Rates in an order: steps of a training, doses of a trigger. Tests of a trend, the onset, and false discoveries."""
