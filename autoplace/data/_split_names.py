"""The names that people give to splits, and our name of each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from autoplace.data._names import composed

SPLITS = ("train", "val", "test")
# Images without labels: never a split, but expected beside the others.
UNLABELLED = "unlabelled"
_EVALUATION = "evaluation"  # test, or val if something else is test

_WORDS = {
    **dict.fromkeys(("train", "training", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation"), "val"),
    **dict.fromkeys(("dev", "devel", "development"), "val"),
    **dict.fromkeys(("test", "tests", "testing", "holdout", "heldout"), "test"),
    **dict.fromkeys(("eval", "evaluate", "evaluation"), _EVALUATION),
    **dict.fromkeys(("pred", "predict", "prediction", "predictions"), UNLABELLED),
    **dict.fromkeys(("unlabeled", "unlabelled"), UNLABELLED),
}
# Words around a split's name that say nothing.
_FILLERS = frozenset(
    (
        *("set", "sets", "split", "splits", "data", "dataset", "datasets", "sample", "samples"),
        *("image", "images", "img", "imgs", "picture", "pictures", "photo", "photos"),
        *("folder", "dir", "files"),
    )
)
_GLUED = re.compile(f"({'|'.join(_WORDS)})({'|'.join(sorted(_FILLERS, key=len, reverse=True))})")


def read_splits(names: Iterable[str]) -> dict[str, str]:
    """Recognise the names of splits among names that stand side by side.

    A name is a split's if it has one of the usual words in it, and nothing else but fillers and
    numbers (`Training`, `test_set`, `val2017`). Other words around it (`seg_train`) count only if
    another split has the same ones (`seg_test`), so that `bullet_train` stays a class.

    Parameters
    ----------
    names : iterable of str
        Folders in one folder, or values of one column.

    Returns
    -------
    dict of str to str
        Maps the recognised names to "train", "val", "test" or `UNLABELLED`. "eval" is test, as
        in the library `datasets`, unless another name is test and none is val.
    """
    found: dict[str, str] = {}
    by_affix: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        meaning = _read(name)
        if meaning is None:
            continue
        split, affix = meaning
        if affix == ("",):
            found[name] = split
        else:
            by_affix[affix][name] = split
    for same in by_affix.values():
        if len(set(same.values())) > 1:
            found |= same
    given = set(found.values())
    evaluation = "val" if "test" in given and "val" not in given else "test"
    return {name: evaluation if s == _EVALUATION else s for name, s in found.items()}


def is_generic(name: str) -> bool:
    """Return whether a name says nothing about what is inside: `images`, `data`, `test`."""
    return all(word in _WORDS for word in _words(name))


def _read(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the split that a name has the word of, and the words around it with a gap."""
    words = _words(name)
    if sum(word in _WORDS for word in words) != 1:
        return None
    (split,) = (_WORDS[word] for word in words if word in _WORDS)
    return split, tuple("" if word in _WORDS else word for word in words)


def _words(name: str) -> list[str]:
    """Split a name into lower-case words, without fillers and numbers."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", composed(name)).casefold()
    text = re.sub(r"h([eo])ld[\W_]*out", r"h\1ldout", text)
    words: list[str] = []
    for word in re.findall(r"[^\W\d_]+", text):
        glued = _GLUED.fullmatch(word)
        words += glued.groups() if glued else [word]
    return [word for word in words if word not in _FILLERS]
