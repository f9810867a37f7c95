"""Procedure: a way to train a placement of any adapter kinds; and its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from autoplace.backbones import BackboneShape
from autoplace.errors import UserError
from autoplace.model import AdaptedModel
from autoplace.placement import Placement
from autoplace.procedures._trainer import Trainer
from autoplace.training import Outcome


class ProcedureError(UserError):
    """A procedure that cannot be read, or that cannot act on a placement.

    Examples
    --------
    >>> from autoplace.procedures import parse_procedure
    >>> try:
    ...     parse_procedure("prone:sparsity=0.5")
    ... except ProcedureError as error:
    ...     print(str(error).partition("known procedures")[0])
    unknown procedure 'prone'; did you mean 'prune'?
    """


@dataclass(frozen=True)
class ProcedureConfig:
    """Options of a procedure; each derives its own, also if it has none.

    A value that is not allowed raises ProcedureError. An option of the type `bool` is written
    without a value: `drop:robust`.

    Examples
    --------
    >>> ProcedureConfig()
    ProcedureConfig()
    """


@dataclass(frozen=True)
class Refined:
    """The result of a procedure.

    Attributes
    ----------
    model : AdaptedModel
        The trained model, in evaluation mode, on the device of the task. `save_adapted` can save
        it and `load_adapted` load it without knowing the procedure.
    parameters : int
        Adapter parameters that were trained to the end; what was pruned away is not counted.
    outcome : Outcome
        Of the last training.
    chose : mapping of str to JSON values
        What the procedure decided; for output, records and the saved model.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> from autoplace.procedures import Trainer, parse_procedure
    >>> from autoplace.settings import TrialSettings
    >>> from autoplace.training import Trial
    >>> trial = Trial(Placement.parse("20>22@bottleneck:r=4"), seed=0)
    >>> trainer = Trainer(open_task("builtin:digits"), trial, TrialSettings(epochs=1))
    >>> refined = parse_procedure("prune:sparsity=0.5").run(trainer)
    >>> refined.parameters, refined.chose["kept"], refined.chose["of"]
    (388, 384, 768)
    """

    model: AdaptedModel
    parameters: int
    outcome: Outcome
    chose: Mapping[str, Any] = field(default_factory=dict)


class Procedure(ABC):
    """Base class of procedures.

    Parameters
    ----------
    config : ProcedureConfig
        Options, of the type that the class names as its `Config`.

    Attributes
    ----------
    name : str
        Name in the text form; set by `register_procedure`.
    paper : str
        Where the procedure was published.

    Examples
    --------
    >>> from autoplace.procedures import parse_procedure
    >>> procedure = parse_procedure("prune:sparsity=0.8,score=magnitude")
    >>> str(procedure)
    'prune:score=magnitude,sparsity=0.8'
    """

    Config: type[ProcedureConfig] = ProcedureConfig
    name: ClassVar[str]
    paper: ClassVar[str] = ""

    def __init__(self, config: Any) -> None:
        self.config = config

    def check(self, placement: Placement, shape: BackboneShape) -> None:
        """Check, before anything is trained, that the procedure can act on a placement.

        Raises
        ------
        ProcedureError
            If it cannot.
        """
        if not len(placement):
            raise ProcedureError(
                f"'{self.name}' acts on adapters, and head-only has none; give another placement"
            )

    def check_epochs(self, epochs: int) -> None:  # noqa: B027 - most can do with any
        """Check, before anything is trained, that so many epochs are enough.

        Raises
        ------
        ProcedureError
            If they are not.
        """

    @abstractmethod
    def run(self, trainer: Trainer) -> Refined:
        """Train the placement of a trial with this procedure.

        Raises
        ------
        UserError
            If the procedure cannot act on the placement, or the training fails.
        """

    def __str__(self) -> str:
        """Text form: the options that are not the defaults, by name."""
        values = {f.name: getattr(self.config, f.name) for f in fields(self.config)}
        options = ",".join(
            f.name if values[f.name] is True else f"{f.name}={values[f.name]}"
            for f in sorted(fields(self.config), key=lambda f: f.name)
            if values[f.name] != f.default
        )
        return f"{self.name}:{options}" if options else self.name
