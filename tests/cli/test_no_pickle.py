"""Nothing that a pick or a collection writes is a pickle, or holds one."""

from __future__ import annotations

import pickle
import pickletools
import re
import zipfile

import pytest

HEADS = re.compile(rb"\x80[\x02-\x05]")  # how a pickle of protocol 2 and later starts


def pickles(data: bytes) -> list[int]:
    """Where pickles start in bytes."""
    starts = [match.start() for match in HEADS.finditer(data)]
    if not data.startswith(b"\x80"):
        starts.insert(0, 0)  # protocol 0 and 1 have no head
    return [start for start in starts if _is_pickle(data[start : start + 2**20])]


def _is_pickle(data: bytes) -> bool:
    try:
        operations = [operation.name for operation, _, _ in pickletools.genops(data)]
    except Exception:  # whatever it says of bytes that are none
        return False
    # Some letters end at once: only what builds an object counts.
    return len(operations) > 3 and operations[-1] == "STOP"


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_would_be_found(protocol):
    data = pickle.dumps({"state": [1.5, "text"], "epochs": 3}, protocol)
    assert pickles(data)
    if protocol >= 2:
        assert pickles(b"SQLite format 3" + bytes(100) + data + bytes(100))


def test_nothing_that_is_written_is_a_pickle(picked, collected, home):
    assert picked.code == 0
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {"adapter.safetensors", "mlflow.db", "ledger.jsonl"} <= {path.name for path in files}
    for path in files:
        data = path.read_bytes()
        assert pickles(data) == [], path
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                assert not [name for name in archive.namelist() if "pkl" in name], path
