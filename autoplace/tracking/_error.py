"""The errors of this room, and the translation of MLflow's failures into them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from autoplace.errors import UserError
from autoplace.tracking._interrupts import interrupts_held


class TrackingError(UserError):
    """An MLflow store, a run or a ledger cannot be read or written.

    Examples
    --------
    >>> from autoplace.tracking import Store
    >>> try:
    ...     Store("ftp://example.org/runs")
    ... except TrackingError as error:
    ...     print(error)
    unsupported MLflow store 'ftp://example.org/runs'; use sqlite:///PATH/mlflow.db, ...
    """


class ProbeMissingError(TrackingError):
    """Neither MLflow nor a run folder holds a probe, so its trials cannot be learnt from.

    Examples
    --------
    >>> from autoplace.tracking import Store, fetch_probe
    >>> try:
    ...     fetch_probe(Store("sqlite:///no-such-folder/mlflow.db"), "5eed")
    ... except ProbeMissingError as error:
    ...     print(error)
    the probe 5eed cannot be read: it is neither in ...no-such-folder/mlflow.db nor in ...
    """


class WriteError(TrackingError):
    """What was computed can no longer be recorded on disk: it is full, or was made read-only.

    Unlike other errors of this room it may come late, so the command line counts it as a failure.

    Examples
    --------
    >>> from autoplace.tracking import Ledger
    >>> from autoplace.tracking.ledger._events import UnsentEvent
    >>> try:
    ...     Ledger("/proc/no-such-folder/ledger.jsonl").append(UnsentEvent())
    ... except WriteError as error:
    ...     print(error)
    cannot write the ledger /proc/no-such-folder/ledger.jsonl: No such file or directory; ...
    """


@contextmanager
def translated(action: str, address: str, *, waits: bool = False) -> Iterator[None]:
    """Turn MLflow's errors into a `TrackingError` of at most two lines.

    An interrupt comes at the end of the block if the store is a database.

    Parameters
    ----------
    action : str
        What is being done, as in "could not <action>".
    address : str
        The store, for the message.
    waits : bool, default=False
        Whether the block waits for something else, so that an interrupt must end it at once.
    """
    # mlflow takes seconds to import; callers have a client, so it is imported already.
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    at_once = waits or address.startswith("http")  # a server may not answer
    try:
        with nullcontext() if at_once else interrupts_held():
            yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
        raise TrackingError(
            f"could not {action} in the MLflow store {address}: {reason}\n"
            "'autoplace doctor' checks the store; MLFLOW_TRACKING_URI chooses another."
        ) from error
