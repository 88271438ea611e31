"""`python -m emeval` is the `emeval` command."""

from evals.cli import main

main()
