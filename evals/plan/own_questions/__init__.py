"""The user's own tables of questions among the suites of a run."""
