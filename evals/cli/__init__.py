"""The `emeval` command: options in, exit codes out. Everything heavy is imported when a command needs it."""

from evals.cli.entry import main

__all__ = ["main"]
