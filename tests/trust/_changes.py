"""Changed files: bytes that are cut, doubled or replaced, and JSON with other values in it."""

from __future__ import annotations

import hypothesis.strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def mutated(data: bytes):
    """The bytes with some of them changed, removed or put in twice."""

    def change(edits):
        changed = bytearray(data)
        for kind, at, value in edits:
            at %= max(1, len(changed))
            if kind == "set":
                changed[at : at + 1] = bytes([value])
            elif kind == "cut":
                del changed[at : at + value]
            elif kind == "end":
                del changed[at:]
            else:
                changed[at:at] = changed[at : at + value]
        return bytes(changed)

    edit = st.tuples(
        st.sampled_from(["set", "cut", "end", "twice"]), st.integers(0, 2**31), st.integers(0, 255)
    )
    return st.lists(edit, min_size=1, max_size=5).map(change)


def changed_json(document):
    """The document with one value, at any depth, replaced by any other."""

    def paths(value, path=()):
        yield path
        items = (
            value.items()
            if isinstance(value, dict)
            else enumerate(value)
            if isinstance(value, list)
            else ()
        )
        for key, inner in items:
            yield from paths(inner, (*path, key))

    def put(value, path, new):
        if not path:
            return new
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[path[0]] = put(copy[path[0]], path[1:], new)
        return copy

    every = list(paths(document))
    return st.tuples(st.sampled_from(every), JSON).map(lambda pick: put(document, *pick))
