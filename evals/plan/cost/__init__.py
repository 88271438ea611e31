"""What a run will cost: calls, tokens and dollars, at most and likely."""
