"""The tables of a store's database: whether the installed MLflow can use them."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from autoplace.tracking._error import TrackingError
from autoplace.tracking.store._quiet import quiet_mlflow

if TYPE_CHECKING:
    from sqlalchemy import Connection

_REVISION = "SELECT version_num FROM alembic_version"
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
    quiet_mlflow()
    import mlflow
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    folder = Path(mlflow.__file__).parent / "store" / "db_migrations"
    scripts = ScriptDirectory(str(folder))
    if schema.revision == scripts.get_current_head():
        return
    try:
        scripts.get_revision(schema.revision)
    except CommandError:
        raise TrackingError(
            f"the MLflow store {address} was made by a newer MLflow than the installed "
            f"{mlflow.__version__} (schema {schema.revision});\n"
            f"install a newer one (pip install --upgrade mlflow), or {_ANOTHER}"
        ) from None
    raise TrackingError(
        f"the MLflow store {address} was made by an older MLflow than the installed "
        f"{mlflow.__version__} (schema {schema.revision});\n"
        f"make a copy of it, then run: mlflow db upgrade {shlex.quote(uri)}"
    )
