"""What the agent says while it works; the command line decides how that looks."""

from __future__ import annotations


class Progress:
    """Silent by default; subclasses print.

    Examples
    --------
    >>> class Notes(Progress):
    ...     def note(self, text):
    ...         print("note:", text)
    >>> Notes().note("2 images cannot be read")
    note: 2 images cannot be read
    """

    def stage(self, text: str, total: int | None = None) -> None:
        """Start a stage of work; `total` is its number of steps where that is known."""

    def advance(self, text: str = "") -> None:
        """Finish one step of the stage; `text` says what it gave."""

    def note(self, text: str) -> None:
        """Say something that the user should know and that stops nothing."""
