"""Which folders of an image folder are its splits."""

from __future__ import annotations

from collections import defaultdict

from autoplace.data._classes import check_lost, check_unread
from autoplace.data._errors import DataError
from autoplace.data._names import composed, shorten, shown
from autoplace.data._split_names import SPLITS, UNLABELLED, is_generic, read_splits
from autoplace.data._tree import Folder


def unwrap(folder: Folder, *, outermost: bool = False) -> Folder:
    """Look through folders that hold all images in one folder, which has folders of images itself.

    Archives and hubs create such wrappers. The outermost one is kept if the folder in it has the
    name of a split.

    Raises
    ------
    DataError
        If another folder beside the one holds pictures that are not read.
    """
    while len(folder.full) == 1:
        (only,) = folder.full
        if only.images or not only.full:
            break
        if outermost and read_splits([only.name]):
            break
        check_lost(folder)
        folder = only
    return folder


def find_splits(root: Folder, notes: list[str], hint: str) -> dict[str, Folder]:
    """Map split names to the folders that hold their classes; empty if there are only classes.

    Parameters
    ----------
    root : Folder
        The data set, without wrappers.
    notes : list of str
        Gets sentences on what was recognised and what was ignored.
    hint : str
        Another way to give the data, for messages.

    Raises
    ------
    DataError
        If a folder has the name of a split but cannot be one, or can be read in two ways.
    """
    names = read_splits([each.name for each in root.folders])
    splits = [each for each in root.full if names.get(each.name) in SPLITS]
    others = [each for each in root.full if each not in splits]
    if not splits:
        return {}
    nested = [each for each in splits if not _is_flat(each)]
    if not nested:
        _check_class_named_as_split(root, splits, others, notes, hint)
        return {}
    found = _one_for_each(root, nested, names)
    if "train" not in found:
        flat = [each for each in splits if names[each.name] == "train"]
        _refuse_no_train(root, list(found.values()), flat, hint)
    for each in root.folders:
        if not each.n_images and names.get(each.name) in SPLITS:
            check_unread(each, "the split folder")
    parents = {split: unwrap(each) for split, each in found.items()}
    _check_others(root, found, parents["train"], others, names, notes)
    for each in splits:
        if each not in nested:
            notes.append(
                f"{each.n_images} images in '{shown(each.name)}' are in no class folder and "
                "ignored, because they have no label"
            )
    renamed = [f"'{shown(each.name)}' as {split}" for split, each in found.items()]
    if any(each.name != split for split, each in found.items()):
        notes.append(f"split folders: read {', '.join(renamed)}")
    return {split: parents[split] for split in SPLITS if split in parents}


def _is_flat(split: Folder) -> bool:
    """Return whether a split has no classes: its images are in it, or in one folder `images`."""
    if not split.full:
        return True
    only = split.full[0]
    named = only.name == split.name or is_generic(only.name)
    return len(split.full) == 1 and not only.full and named


def _one_for_each(root: Folder, nested: list[Folder], names: dict[str, str]) -> dict[str, Folder]:
    by_split: dict[str, list[Folder]] = defaultdict(list)
    for each in nested:
        by_split[names[each.name]].append(each)
    for split, folders in by_split.items():
        if len(folders) > 1:
            both = " and ".join(f"{shown(each.name)}/" for each in folders[:2])
            raise DataError(
                f"'{shown(root.path)}' has both {both}; keep one {split} folder, or rename one of "
                "them to train, val or test"
            )
    return {split: folders[0] for split, folders in by_split.items()}


def _refuse_no_train(root: Folder, found: list[Folder], flat: list[Folder], hint: str) -> None:
    if flat:
        raise DataError(
            f"'{shown(flat[0].path)}' holds images but no class folders; put the images of each "
            f"class in a folder of its own in it{hint}"
        )
    there = ", ".join(f"{shown(each.name)}/" for each in found)
    raise DataError(
        f"'{shown(root.path)}' has {there} but no train/; add it, or give "
        f"'{shown(found[0].path)}' as DATA, or rename any class that has the name of a split"
    )


def _check_class_named_as_split(
    root: Folder, splits: list[Folder], others: list[Folder], notes: list[str], hint: str
) -> None:
    """Decide what folders with the names of splits are if none of them has class folders."""
    names = " and ".join(f"{shown(each.name)}/" for each in splits)
    if not others:
        raise DataError(
            f"{names} in '{shown(root.path)}' hold images but no class folders; put the images of "
            f"each class in a folder of its own in them{hint}"
        )
    beside = shorten(each.name for each in others)
    # A vehicle is often a class; nobody calls three folders of images train and two classes.
    if [each.name.lower() for each in splits] == ["train"] and len(others) > 1:
        notes.append(
            f"'{shown(splits[0].name)}' has the name of a split, but holds images and no class "
            f"folders, so it is a class like {beside}"
        )
        return
    raise DataError(
        f"{names} beside {beside} in '{shown(root.path)}' can be a class or a split without class "
        "folders\nif it is a class, move all class folders into a folder train/; if it is a "
        f"split, move it away or give it class folders{hint}"
    )


def _check_others(
    root: Folder,
    found: dict[str, Folder],
    train: Folder,
    others: list[Folder],
    names: dict[str, str],
    notes: list[str],
) -> None:
    """Say which folders beside the splits are ignored. Raises DataError for likely mistakes."""
    classes = {composed(each.name) for each in train.full}
    split_names = ", ".join(f"{shown(each.name)}/" for each in found.values())
    for each in others:
        shared = [f.name for f in unwrap(each).full if composed(f.name) in classes]
        if shared:
            raise DataError(
                f"'{shown(each.name)}' in '{shown(root.path)}' has the class folders of "
                f"{shown(found['train'].name)}/ ({shorten(shared)}), but not the name of a split\n"
                "rename it to val or test, or move it away"
            )
    unknown = [each for each in others if names.get(each.name) != UNLABELLED]
    beside = [each.name for each in unknown if composed(each.name) in classes]
    if beside or (unknown and len(found) == 1):
        raise DataError(
            f"'{shown(root.path)}' has both {split_names} and {shorten(e.name for e in unknown)}, "
            "which hold images, too\nif the latter are classes, move all class folders into "
            f"{shown(found['train'].name)}/ or rename it if it is a class; else move them away"
        )
    if others:
        counted = [f"{each.name} ({each.n_images} images)" for each in others]
        notes.append(f"not a split, ignored: {shorten(counted)}")
    empty = [f.name for f in root.folders if not f.n_images]
    if empty:
        notes.append(f"folders without images ignored: {shorten(empty)}")
