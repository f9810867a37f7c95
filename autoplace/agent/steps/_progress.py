"""Progress messages of the agent; the command line decides how to show them."""

from __future__ import annotations


class Progress:
    """Receives progress messages and ignores them; subclasses print them.

    Examples
    --------
    >>> class Notes(Progress):
    ...     def note(self, text):
    ...         print("note:", text)
    >>> Notes().note("2 images cannot be read")
    note: 2 images cannot be read
    """

    def stage(self, text: str, total: int | None = None) -> None:
        """Start a stage of work; `total` is its number of steps, if known."""

    def advance(self, text: str = "") -> None:
        """Finish one step of the stage; `text` is its result."""

    def note(self, text: str) -> None:
        """Report something that the user should know, but which does not stop anything."""
