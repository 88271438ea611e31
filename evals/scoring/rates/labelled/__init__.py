"""What the labels of a run say of its judge: the labelled answers, corrected effects, the calibration of scores."""
