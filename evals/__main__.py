"""`python -m evals` is the `emeval` command."""

from evals.cli import main

main()
