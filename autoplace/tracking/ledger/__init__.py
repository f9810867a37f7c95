"""The record of an invocation on disk, and how MLflow is kept, or brought, up to date with it."""

from autoplace.tracking.ledger._events import EventKind
from autoplace.tracking.ledger._journal import Journal
from autoplace.tracking.ledger._ledger import Ledger
from autoplace.tracking.ledger._past import Past, open_past
from autoplace.tracking.ledger._probe_files import fetch_probe
from autoplace.tracking.ledger._push import push_unsent

__all__ = [
    "EventKind",
    "Journal",
    "Ledger",
    "Past",
    "fetch_probe",
    "open_past",
    "push_unsent",
]
