"""The lock of a run folder: one process writes its ledger."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from autoplace.tracking._error import TrackingError

LOCK_FILE = "ledger.lock"


def hold(run_folder: Path) -> FileLock:
    """Take a run folder for this process, until the lock is released or the process is gone.

    Parameters
    ----------
    run_folder : Path
        The folder of the ledger; created if it is missing.

    Raises
    ------
    TrackingError
        Another process, or another part of this one, holds it; or the folder cannot be written.
    """
    try:
        run_folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(run_folder / LOCK_FILE, thread_local=False)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise TrackingError(
            f"another process is working on the run in {run_folder}; "
            "wait until it has ended, or end it"
        ) from error
    except OSError as error:
        raise TrackingError(
            f"cannot lock the run folder {run_folder}: {error.strerror or error}; "
            "choose a folder that can be written"
        ) from error
    return lock


def is_held(run_folder: Path) -> bool:
    """Whether a living process is working on a run; no file is left or changed.

    A process that was killed holds nothing: the system releases its locks.
    """
    path = run_folder / LOCK_FILE
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0, thread_local=False):
            return False
    except Timeout:
        return True
    except OSError:  # it cannot be tested where it cannot be written
        return False
