"""The SQLite file that a store's URI means, and the URI by which MLflow finds that file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlencode

_PREFIX = re.compile(r"sqlite(\+pysqlite)?:///")
_OPTIONS = re.compile(r"[\w-]+=[^/?&]*(&[\w-]+=[^/?&]*)*")
# Characters that SQLAlchemy, MLflow or urllib would read as something else in a path.
_SPECIAL = re.compile(r"[%?#\x00-\x1f\x7f\ud800-\udfff]")


def read_sqlite(uri: str) -> tuple[Path, dict[str, str]] | None:
    """Find the absolute path and the options in a SQLite URI; None if it names no SQLite file.

    The path is meant as it is written, also if it holds `?`, `#` or `%20`: people put paths into
    URIs as they are. An escape is decoded only if the folder exists under the decoded name alone.
    """
    prefix = _PREFIX.match(uri)
    if prefix is None:
        return None
    text = uri[prefix.end() :]
    path, mark, query = text.rpartition("?")
    if not mark or not _OPTIONS.fullmatch(query):
        path, query = text, ""
    options = dict(parse_qsl(query))
    if options.pop("uri", None) == "true" and (name := _file_of(uri)) is not None:
        path = name
    elif not Path(path).parent.exists() and Path(unquote(path)).parent.exists():
        path = unquote(path)
    if not path.strip("/") or path == ":memory:":
        return None  # in memory nothing would be left to look at, and threads see separate stores
    if path.startswith("~/"):
        path = os.path.expanduser(path)
    return Path(path).absolute(), options


def write_sqlite(path: Path, options: Mapping[str, str]) -> str:
    """Write a SQLite URI that MLflow and every version of SQLAlchemy take for `path`."""
    if not _SPECIAL.search(str(path)):
        query = f"?{urlencode(options)}" if options else ""
        return f"sqlite:///{path}{query}"
    from sqlalchemy.engine import URL

    # SQLite's own form of a file's URI is the only one with escapes for all of these. With the
    # driver named, MLflow does not take the URI for a path in which folders are to be made.
    name = f"file:{quote(os.fsencode(path))}"
    url = URL.create("sqlite+pysqlite", database=name, query={**options, "uri": "true"})
    return url.render_as_string(hide_password=False)


def _file_of(uri: str) -> str | None:
    from sqlalchemy.engine import make_url

    name = make_url(uri).database or ""
    if not name.startswith("file:"):
        return None
    return os.fsdecode(unquote_to_bytes(name.removeprefix("file:")))
