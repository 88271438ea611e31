"""Commands that ask models without making a run."""
