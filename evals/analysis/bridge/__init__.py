"""Whether another judge may stand in for the one that gave published scores: both on the same answers."""
