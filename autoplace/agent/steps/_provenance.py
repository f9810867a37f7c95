"""What produced an outcome: library versions and the commit of autoplace's own source."""

from __future__ import annotations

import json
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from autoplace._version import __version__

PACKAGES = ("torch", "timm", "scikit-learn", "lightgbm", "mlflow", "numpy")
SOURCE = Path(__file__).resolve().parents[3]  # the folder that holds autoplace/


@cache
def library_versions() -> str:
    """Return the versions that an outcome may depend on, as a JSON object."""
    versions = {"python": platform.python_version(), "autoplace": __version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # installed in a way that leaves no metadata
            continue
    return json.dumps(versions)


@cache
def git_commit(source: Path = SOURCE) -> str | None:
    """Return the commit of autoplace's source, or None if it does not run from its own checkout.

    A repository around an installation, such as the user's own project, does not count.
    """
    try:
        top_level = _git(source, "rev-parse", "--show-toplevel")
        _git(source, "ls-files", "--error-unmatch", "autoplace/__init__.py")
        commit = _git(source, "rev-parse", "HEAD")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit if Path(top_level).resolve() == source else None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=5,
        check=True,
    )
    return done.stdout.strip()
