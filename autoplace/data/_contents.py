"""Digests of what some of a data set's files contain: who shares images, and which ones changed."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from autoplace.data._listing import ImageFile

SAMPLE_SIZE = 512  # files that are read; all of a smaller data set
N_DIGESTS = 64  # digests that a data set is recognised by

_N_READERS = 4  # reading waits for the disk, and hashing releases the interpreter lock


def content_digests(files: Iterable[ImageFile]) -> dict[str, str]:
    """Hash the contents of up to `SAMPLE_SIZE` files of a data set.

    The files whose base name and size have the smallest hash are taken: the same ones in every
    copy of the data, whatever its folders and classes are called, and many of the same ones in
    data that hold a part of it. Missing, empty and unreadable files are skipped.

    Parameters
    ----------
    files : iterable of ImageFile
        All files of the data set.

    Returns
    -------
    dict of str to str
        The key of each file that was read, and 16 hexadecimal digits of the digest of its bytes.
    """
    filled = (file for file in files if file.n_bytes > 0)
    sample = heapq.nsmallest(SAMPLE_SIZE, filled, key=lambda file: (_rank(file), file.key))
    with ThreadPoolExecutor(_N_READERS) as pool:
        digests = pool.map(_digest, (file.path for file in sample))
        return {file.key: found for file, found in zip(sample, digests, strict=True) if found}


def smallest_digests(contents: Mapping[str, str]) -> tuple[str, ...]:
    """Return the `N_DIGESTS` smallest digests, sorted, each once.

    Data sets that share a good part of their images have digests in common, since an image is
    kept or left out by its own digest alone (the bottom-k sketch of Broder 1997).
    """
    return tuple(sorted(set(contents.values()))[:N_DIGESTS])


def _rank(file: ImageFile) -> bytes:
    name = file.key.rpartition("/")[2]
    text = f"{file.n_bytes}\0{name}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=8).digest()


def _digest(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8))
            return digest.hexdigest()
    except OSError:
        return None
