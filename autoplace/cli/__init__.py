"""The command line."""

from autoplace.cli._main import main

__all__ = ["main"]
