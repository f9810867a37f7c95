"""What the agent says while it works; the command line decides how that looks."""

from __future__ import annotations


class Progress:
    """Silent by default; subclasses print."""

    def stage(self, text: str, total: int | None = None) -> None:
        """A new stage of work begins, of `total` steps where that is known."""

    def advance(self, text: str = "") -> None:
        """One step of the stage is done; `text` says what it gave."""

    def note(self, text: str) -> None:
        """Something the user should know, which stops nothing."""
