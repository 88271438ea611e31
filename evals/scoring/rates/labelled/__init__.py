"""What the labels of a run say: the labelled answers, corrected rates and effects, the calibration of scores."""
