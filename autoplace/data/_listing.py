"""What a folder and a manifest have in common: a list of image files, nothing decoded."""

from __future__ import annotations

from dataclasses import dataclass, field

# What users call the splits, and what we call them.
SPLIT_NAMES = {
    "train": "train",
    "val": "val",
    "validation": "val",
    "valid": "val",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image, not yet opened.

    Parameters
    ----------
    key : path relative to the data set's folder, with forward slashes; unique, and the sort order.
    path : path to open, as a user would write it.
    n_bytes : size of the file, -1 where there is none.
    label : name of its class.
    split : "train", "val" or "test"; None where the data does not say.
    group : images of one group must share a split; None where the data has no groups.
    """

    key: str
    path: str
    n_bytes: int
    label: str
    split: str | None = None
    group: str | None = None

    def in_split(self, split: str | None) -> ImageFile:
        """The same file in another split."""
        return ImageFile(self.key, self.path, self.n_bytes, self.label, split, self.group)


@dataclass(frozen=True)
class Listing:
    """The files of a data set, and what the user should know of how they were found."""

    name: str
    files: list[ImageFile]
    notes: list[str] = field(default_factory=list)


def shorten(names: list[str]) -> str:
    """The first three names and the number of the others, for a note."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
