"""The words of the placement log, defined once: statuses, metrics, roles, sources of a family.

Every room may import this module; importing it is cheap.
"""

from __future__ import annotations

from enum import StrEnum

HEAD_ONLY = "head-only"  # the placement without adapters, as text
PROBE_TABLES = ("edges", "nodes", "task")  # what every probe measures, as data frames
# What only newer probes measure. An older probe is without such a table wherever it is kept.
LATER_PROBE_TABLES = ("sites",)
# The adapter kinds of this release, each of which a predictor sees as a feature.
ADAPTER_KINDS = (
    "adapter-plus", "adapterbias", "adaptformer", "arc", "bitfit", "bottleneck", "convpass",
    "layernorm", "linear", "lora", "prefix", "prompt", "ssf", "tiny-attention", "unipelt",
)  # fmt: skip
# Higher is better for each; log-loss is minus the mean cross-entropy, as scikit-learn scores it.
LOG_LOSS = "log-loss"
METRICS = ("accuracy", "balanced-accuracy", "macro-f1", LOG_LOSS)
# What trained every trial of the releases that did not record it.
FIRST_OPTIMISER = "adamw beta2=0.999 warm-up=0.1"


class Status(StrEnum):
    """State of a trial.

    Examples
    --------
    >>> Status("done") is Status.DONE
    True
    >>> Status.DONE.is_over, Status.RUNNING.is_over
    (True, False)
    """

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    PRUNED = "pruned"  # dropped by the race before its last epoch
    INTERRUPTED = "interrupted"

    @property
    def is_over(self) -> bool:
        """Whether the trial will not change any more."""
        return self not in (Status.QUEUED, Status.RUNNING)


class Role(StrEnum):
    """Why a trial runs.

    Examples
    --------
    >>> [role.value for role in Role if role.is_baseline]
    ['head-only', 'every-block', 'lora']
    """

    HEAD_ONLY = HEAD_ONLY
    EVERY_BLOCK = "every-block"
    LORA = "lora"  # LoRA on the queries, keys and values of every block
    FULL = "full"  # full fine-tuning
    CANDIDATE = "candidate"  # in the field of a race, or a kind everywhere without a race
    RATE = "rate"  # a short trial that helps to find the learning rate
    FOLD = "fold"  # a finalist again, on another fold or with another seed
    REFIT = "refit"  # trained anew for the test, mostly on all training and validation images
    START = "start"  # starts from trained adapters, or is compared with trials that do
    PANEL = "panel"  # given by the user
    SAMPLE = "sample"  # drawn at random

    @property
    def is_baseline(self) -> bool:
        """Whether this is a placement that a winner is compared with; LoRA may not always win."""
        return self in (Role.HEAD_ONLY, Role.EVERY_BLOCK, Role.LORA)

    @property
    def needs_weights(self) -> bool:
        """Whether what a trial of it has trained is needed once the trial is over."""
        return self not in (Role.RATE, Role.FOLD)


class Protocol(StrEnum):
    """How the learning rate of a trial was chosen, and what its outcome may be compared with.

    Outcomes of one task are compared only within one protocol.

    Examples
    --------
    >>> Protocol("found-rate") is Protocol.FOUND_RATE
    True
    """

    TABLE_RATE = "table-rate"  # from a table by number of edges: confounds placement and rate
    GIVEN_RATE = "given-rate"  # by the user, the same for all placements
    FOUND_RATE = "found-rate"  # by a rate race on the task, the same for all placements of a kind


class FamilySource(StrEnum):
    """Where a task's family comes from.

    Examples
    --------
    >>> FamilySource("given") is FamilySource.GIVEN
    True
    """

    GIVEN = "given"  # by the user
    BUILTIN = "builtin"  # by a built-in task
    DEFAULT = "default"  # made from the images
