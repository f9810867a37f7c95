"""`autoplace doctor`: check whether this installation works."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from autoplace.agent.steps._active_predictor import load_active_predictor
from autoplace.agent.steps._progress import Progress
from autoplace.agent.steps._provenance import library_versions
from autoplace.backbones import create_chain
from autoplace.errors import UserError
from autoplace.settings import StoreSettings
from autoplace.tracking import Store
from autoplace.training import resolve_device
from predictors import PredictorError


class _Notes(Progress):
    """Collects notes instead of printing them."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Examination:
    """The result of examining an installation.

    Attributes
    ----------
    versions : dict of str to str
        Versions of Python, autoplace and the libraries that an outcome may depend on.
    device : str
        The device that trials would run on.
    store : str
        Tracking URI, without its password.
    predictor : str or None
        Which predictor is in use.
    starter : str or None
        SHA-256 of the shipped backbone's weights.
    notes : list of str
        What the user should know, but which does not stop anything.
    problems : list of str
        What does not work, and what to do.

    Examples
    --------
    >>> Examination({}, "cpu", "sqlite:///mlflow.db").problems
    []
    """

    versions: dict[str, str]
    device: str
    store: str
    predictor: str | None = None
    starter: str | None = None
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def examine(settings: StoreSettings) -> Examination:
    """Examine versions, device, store, predictor and the shipped backbone.

    Examples
    --------
    >>> from autoplace.settings import StoreSettings
    >>> examine(StoreSettings()).predictor
    'shipped'
    """
    store = Store(settings.store)
    versions: dict[str, Any] = json.loads(library_versions())
    found = Examination(versions, str(resolve_device("auto")), store.address)
    notes = _Notes()
    try:
        found.notes += store.check()
    except UserError as error:
        found.problems.append(str(error))
    try:
        found.predictor = load_active_predictor(store, progress=notes).origin
    except (UserError, PredictorError) as error:
        found.problems.append(str(error))
    try:
        found.starter = create_chain("starter").weights_sha256
    except UserError as error:
        found.problems.append(str(error))
    found.notes += notes.notes
    return found
