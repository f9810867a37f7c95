"""The error of this room, and the translation of MLflow's failures into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from autoplace.errors import UserError


class TrackingError(UserError):
    """An MLflow store, a run or a ledger that cannot be read or written; says what to do."""


@contextmanager
def translated(action: str, address: str) -> Iterator[None]:
    """Raise whatever MLflow raises inside as a `TrackingError` of at most two lines.

    action: what was being done, as in "could not <action>"; address: the store, for the message.
    """
    # mlflow takes seconds to import; whoever enters here has a client and has paid already.
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else repr(error)
        raise TrackingError(
            f"could not {action} in the MLflow store {address}: {reason}\n"
            "'autoplace doctor' checks the store; MLFLOW_TRACKING_URI chooses another."
        ) from error
