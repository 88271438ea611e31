"""Connect, check, sample, judge, count; or take a run from a file. Imports plan and below."""
