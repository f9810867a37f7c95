"""The tables of a store's database: whether the installed MLflow can use them."""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autoplace.tracking._error import TrackingError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_REVISION = "SELECT version_num FROM alembic_version"
_OWN = re.compile(r"^revision(?:: \w+)? = [\"'](\w+)[\"']", re.M)
_BEFORE = re.compile(r"^down_revision(?:: [^=]+)? = (.*)$", re.M)
_NAME = re.compile(r"\w+")
_ANOTHER = "set MLFLOW_TRACKING_URI to another store"


@dataclass(frozen=True)
class Schema:
    """Names of the tables, and the revision that MLflow has noted in them."""

    tables: frozenset[str]
    revision: str | None


def read_sqlite_schema(path: Path) -> Schema:
    """Read the schema of a SQLite file, which is not changed.

    Raises
    ------
    sqlite3.DatabaseError
        It cannot be read.
    """
    with closing(connect(path, "ro")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = frozenset(name for (name,) in names)
        row = connection.execute(_REVISION).fetchone() if "alembic_version" in tables else None
    return Schema(tables, row[0] if row else None)


def read_schema(connection: Connection) -> Schema:
    """Read the schema of another database."""
    from sqlalchemy import inspect, text

    tables = frozenset(inspect(connection).get_table_names())
    row = connection.execute(text(_REVISION)).first() if "alembic_version" in tables else None
    return Schema(tables, row[0] if row else None)


def connect(path: Path, mode: Literal["ro", "rw"], timeout: float = 5.0) -> sqlite3.Connection:
    """Open a SQLite file of any name, which must exist; changes are committed one by one."""
    uri = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)


def check_schema(schema: Schema, uri: str, address: str) -> None:
    """Raise TrackingError unless the installed MLflow can use the tables, or there are none.

    MLflow would change old tables without asking, and tell the owner of new ones to upgrade them.
    """
    if not schema.tables:
        return
    if schema.revision is None:
        if "experiments" in schema.tables:
            raise TrackingError(
                f"the MLflow store {address} was not created completely; remove it, put back a "
                f"copy of it, or {_ANOTHER}"
            )
        if uri.startswith("sqlite"):
            some = ", ".join(sorted(schema.tables)[:3])
            raise TrackingError(
                f"{address} is a database of something else (tables {some}), not an MLflow store; "
                f"{_ANOTHER}"
            )
        return
    newer, older = _relation(schema.revision)
    version = metadata.version("mlflow")
    if newer:
        raise TrackingError(
            f"the MLflow store {address} was made by a newer MLflow than the installed {version} "
            f"(schema {schema.revision});\n"
            f"install a newer one (pip install --upgrade mlflow), or {_ANOTHER}"
        )
    if older:
        raise TrackingError(
            f"the MLflow store {address} was made by an older MLflow than the installed {version} "
            f"(schema {schema.revision});\n"
            f"make a copy of it, then run: mlflow db upgrade {shlex.quote(uri)}"
        )


def _relation(revision: str) -> tuple[bool, bool]:
    """Whether a revision is newer, or older, than that of the installed MLflow.

    Read from MLflow's migrations as text: importing them takes seconds.
    """
    spec = find_spec("mlflow")
    found: dict[str, str] = {}
    for root in (spec.submodule_search_locations if spec else None) or ():
        for file in Path(root, "store", "db_migrations", "versions").glob("*.py"):
            found |= {name: text for text, name in _links(file.read_text(encoding="utf-8"))}
    heads = set(found) - {name for text in found.values() for name in _NAME.findall(text)}
    if len(heads) != 1:  # not as we know it: MLflow will look for itself
        return False, False
    return revision not in found, revision in found and revision not in heads


def _links(script: str) -> list[tuple[str, str]]:
    """The revisions before that of a migration, as text, and its own."""
    before = _BEFORE.search(script)
    return [(before[1] if before else "", own) for own in _OWN.findall(script)]
