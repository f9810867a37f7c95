"""The list of image files of a folder or a manifest, before any image is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image, not yet opened.

    Parameters
    ----------
    key : str
        Path relative to the data set's folder, with forward slashes; unique. Images are sorted by
        it.
    path : str
        Path to open, as a user would write it.
    n_bytes : int
        Size of the file; -1 if it does not exist.
    label : str
        Name of the class, in composed Unicode.
    split : str or None, default=None
        "train", "val" or "test"; None if the data does not give one.
    group : str or None, default=None
        Images of one group must be in one split; None if the data has no groups.
    """

    key: str
    path: str
    n_bytes: int
    label: str
    split: str | None = None
    group: str | None = None

    def in_split(self, split: str | None) -> ImageFile:
        """Return the same file in another split."""
        return ImageFile(self.key, self.path, self.n_bytes, self.label, split, self.group)


@dataclass(frozen=True)
class Listing:
    """The files of a data set, and notes for the user on how they were found.

    `hint` says where missing files may be; it is empty if nothing is known.
    """

    name: str
    files: list[ImageFile]
    notes: list[str] = field(default_factory=list)
    hint: str = ""
