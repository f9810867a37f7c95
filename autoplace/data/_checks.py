"""What a list of images must be to be trained on; checked before the probe."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from unicodedata import category

from autoplace.data._decoding import UnreadableImageError
from autoplace.data._errors import DataError
from autoplace.data._listing import ImageFile, Listing
from autoplace.data._names import shorten, shown
from autoplace.data._reading import PictureReading
from autoplace.data._split import N_WORKERS
from autoplace.data._split_names import SPLITS

MIN_IMAGES = 4  # of each class: two to train on, one to validate, one to test


def check_classes(text: str, files: Sequence[ImageFile]) -> None:
    """Raise DataError for fewer than two classes, odd names, and classes with too few images."""
    counts = Counter(file.label for file in files)
    if not files:
        raise DataError(
            f"no images in '{text}'; each class needs a folder with at least {MIN_IMAGES} images"
        )
    if len(counts) == 1:
        raise DataError(
            f"'{text}' has only one class, '{shown(next(iter(counts)))}'; at least two are needed, "
            "each with its own folder or label"
        )
    odd = sorted(label for label in counts if any(category(c) == "Cc" for c in label))
    if odd:
        raise DataError(
            f"class '{shown(odd[0])}' in '{text}' has a line break or another control character in "
            "its name; rename it"
        )
    few = sorted(label for label, count in counts.items() if count < MIN_IMAGES)
    if few:
        raise DataError(
            f"class '{shown(few[0])}' in '{text}' has {counts[few[0]]} images, but at least "
            f"{MIN_IMAGES} are needed"
            f"{f' (also in {len(few) - 1} more classes)' if len(few) > 1 else ''}; "
            "add images or remove the class"
        )


def check_presence(text: str, listing: Listing, max_bad: float) -> None:
    """Raise DataError if too many files do not exist; note the others."""
    absent = [file for file in listing.files if file.n_bytes < 0]
    if not absent:
        return
    first = shown(absent[0].path)
    if len(absent) > max_bad * len(listing.files):
        raise DataError(
            f"{len(absent)} of {len(listing.files)} images in '{text}' do not exist, the first: "
            f"{first}\ncorrect the paths, which are relative to the table's folder, or the links"
            f"{listing.hint}"
        )
    listing.notes.append(
        f"{len(absent)} images do not exist and are skipped, the first: {first}{listing.hint}"
    )


def check_groups(text: str, files: Sequence[ImageFile]) -> None:
    """Raise DataError for a group that is in more than one split."""
    splits_of = defaultdict(set)
    for file in files:
        if file.group is not None and file.split is not None:
            splits_of[file.group].add(file.split)
    for group, splits in splits_of.items():
        if len(splits) > 1:
            raise DataError(
                f"group '{shown(group)}' in '{text}' is in {' and '.join(sorted(splits))}; "
                "put all its images in one split, or remove the split column"
            )


def check_splits(text: str, files: Sequence[ImageFile], notes: list[str]) -> tuple[str, ...]:
    """Return the classes, sorted by name. Raises DataError for one that is not in train."""
    labels = {split: {f.label for f in files if f.split == split} for split in SPLITS}
    for split in ("val", "test"):
        if not labels[split]:
            raise DataError(
                f"no images are left for {split} in '{text}'; "
                "add images, make groups smaller or add a split column"
            )
        unknown = sorted(labels[split] - labels["train"])
        if unknown:
            near = [each for each in labels["train"] if _plain(each) == _plain(unknown[0])]
            hint = f" (which has '{shown(near[0])}')" if near else ""
            raise DataError(
                f"class '{shown(unknown[0])}' is in {split} but not in train of '{text}'{hint}; "
                "add images of it to train (or make groups smaller), or rename or remove the class"
            )
        absent = sorted(labels["train"] - labels[split])
        if absent:
            notes.append(f"classes without an image in {split}: {shorten(absent)}")
    alike = Counter(_plain(label) for label in labels["train"])
    similar = sorted(label for label in labels["train"] if alike[_plain(label)] > 1)
    if similar:
        notes.append(f"classes that differ only in case or spaces: {shorten(similar)}")
    return tuple(sorted(labels["train"]))


def _plain(label: str) -> str:
    return "".join(label.split()).casefold()


def check_readable(files: Sequence[ImageFile], reading: PictureReading) -> None:
    """Decode one image of each class.

    Parameters
    ----------
    files : sequence of ImageFile
        The images of train.
    reading : PictureReading
        How they are read.

    Raises
    ------
    DataError
        If no training image of a class can be read, so that the class would vanish.
    """
    of_class = defaultdict(list)
    for file in files:
        of_class[file.label].append(file.path)

    def first_reason(paths: Sequence[str]) -> str:
        """Return why the first image cannot be read, or nothing if any of them can."""
        reason = ""
        for path in paths:
            try:
                reading(path)
            except UnreadableImageError as error:
                reason = reason or str(error)
            else:
                return ""
        return reason

    with ThreadPoolExecutor(N_WORKERS) as pool:
        reasons = dict(zip(of_class, pool.map(first_reason, of_class.values()), strict=True))
    broken = [label for label, reason in reasons.items() if reason]
    if broken:
        first, paths = broken[0], of_class[broken[0]]
        more = f" (nor of {len(broken) - 1} more classes)" if len(broken) > 1 else ""
        raise DataError(
            f"none of the {len(paths)} training images of class '{shown(first)}' can be read{more}"
            f", e.g. {shown(paths[0])}: {reasons[first]}\nrepair or replace them, or remove the "
            "class"
        )
