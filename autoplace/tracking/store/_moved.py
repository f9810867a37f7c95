"""A SQLite store whose folder was moved or copied: its artifacts are beside it, as ever.

MLflow records absolute places of artifacts, which still name the old folder.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from autoplace.tracking._error import TrackingError
from autoplace.tracking.store._schema import connect

# On experiments whose artifacts go beside the database; those named autoplace/... may lack it.
BESIDE_TAG = "autoplace.artifacts_beside_database"
# Where MLflow keeps the places of artifacts.
_PLACES = (
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def stale_roots(path: Path, artifact_root: str) -> list[str]:
    """Places of artifacts that experiments name, and that were beside the database once.

    Raises
    ------
    sqlite3.DatabaseError
        The file cannot be read.
    """
    with closing(connect(path, "ro")) as connection:
        found = connection.execute(
            "SELECT artifact_location, name LIKE 'autoplace/%' OR EXISTS (SELECT 1 FROM "
            "experiment_tags AS tag WHERE tag.experiment_id = experiments.experiment_id "
            "AND tag.key = ?) FROM experiments WHERE experiment_id != 0 AND artifact_location != ?",
            (BESIDE_TAG, artifact_root),
        ).fetchall()
    here = path.parent / "artifacts"
    return sorted({root for root, own in found if _was_beside(root, bool(own), here)})


def adopt(path: Path, artifact_root: str, roots: Iterable[str]) -> None:
    """Let a moved store's records name the artifacts beside the database.

    Without it, MLflow would write new artifacts to the old folder and its UI would look for all
    of them there. What is still in the old folder only, keeps its place.

    Raises
    ------
    TrackingError
        The store cannot be changed.
    """
    try:
        with closing(connect(path, "rw", timeout=20.0)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for root in roots:
                _adopt(connection, root, artifact_root)
            connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"the MLflow store {path} was moved, and its records cannot be changed: {error}; "
            "make it writable or move it back"
        ) from error


def local_path(uri: str) -> Path | None:
    """Path of a local URI; None for artifacts elsewhere."""
    if uri.startswith("/"):
        return Path(uri)
    if not uri.startswith("file:/"):
        return None
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))


def _adopt(connection: sqlite3.Connection, root: str, artifact_root: str) -> None:
    def moved(uri: str) -> str:
        new = artifact_root + uri[len(root) :]
        there, here = local_path(uri), local_path(new)
        stays = there is not None and there.exists() and here is not None and not here.exists()
        return uri if stays else new

    connection.create_function("moved", 1, moved)
    connection.execute(
        "UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?",
        (artifact_root, root),
    )
    for table, column in _PLACES:
        connection.execute(
            f"UPDATE {table} SET {column} = moved({column}) "
            f"WHERE substr({column}, 1, length(?)) = ?",
            (f"{root}/", f"{root}/"),
        )


def _was_beside(root: str, own: bool, here: Path) -> bool:
    place = local_path(root)
    if place is None or place.name != here.name:
        return False
    if place.exists():
        same = here.exists() and place.samefile(here)  # another name of the same folder
        return own and not same
    return True
