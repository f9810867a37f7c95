"""Digests of the contents of sampled files, to find data sets that share images or changed."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from autoplace.data._listing import ImageFile

SAMPLE_SIZE = 512  # files to read; a smaller data set is read whole
N_DIGESTS = 64  # digests that a data set is recognised by

_N_READERS = 4  # reading waits for the disk, and hashing releases the interpreter lock


def content_digests(files: Iterable[ImageFile]) -> dict[str, str]:
    """Hash the contents of up to `SAMPLE_SIZE` files of a data set.

    The sample consists of the files whose base name and size have the smallest hash. So every copy
    of the data gives the same sample, whatever its folders and classes are called, and a part of
    the data gives many of the same files. Missing, empty and unreadable files are skipped.

    Parameters
    ----------
    files : iterable of ImageFile
        All files of the data set.

    Returns
    -------
    dict of str to str
        Maps the key of each file that was read to 16 hexadecimal digits, the digest of its bytes.
    """
    filled = (file for file in files if file.n_bytes > 0)
    sample = heapq.nsmallest(SAMPLE_SIZE, filled, key=lambda file: (_rank(file), file.key))
    with ThreadPoolExecutor(_N_READERS) as pool:
        digests = pool.map(_digest, (file.path for file in sample))
        return {file.key: found for file, found in zip(sample, digests, strict=True) if found}


def smallest_digests(contents: Mapping[str, str]) -> tuple[str, ...]:
    """Return the `N_DIGESTS` smallest distinct digests, sorted.

    Data sets that share many of their images have digests in common, because only its own digest
    decides whether an image is kept (the bottom-k sketch of Broder 1997).
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
