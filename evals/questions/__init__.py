"""From a dataset row to a prompt: scenarios, question files, suites. Imports trials and below."""
