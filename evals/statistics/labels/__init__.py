"""What human labels say of a judge beyond a rate: effects, agreement, calibration, several judges."""
