"""A metric over the steps of a training: the models of runs in the order of their steps."""
