"""Every option, defined once: flags, YAML, environment and MLflow parameters come from here.

Torch-free, so that the command line can show its help without loading the machinery.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from autoplace.errors import UserError

METRICS = ("accuracy", "balanced-accuracy", "macro-f1")


def option(default: Any, help_text: str, **extra: Any) -> Any:
    """A dataclass field with its help; `choices`, `low` and `kind` are checked at the door."""
    return field(default=default, metadata={"help": help_text, **extra})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all settings: checks ranges and choices, and knows its fields.

    Raises UserError naming the option, its value and what is allowed.
    """

    def __post_init__(self) -> None:
        for each in fields(self):
            value, rules = getattr(self, each.name), each.metadata
            flag = "--" + each.name.replace("_", "-")
            if value is None:
                continue
            if "choices" in rules and value not in rules["choices"]:
                raise UserError(
                    f"{flag} is '{value}'; choose one of: {', '.join(rules['choices'])}"
                )
            if "low" in rules and value < rules["low"]:
                raise UserError(f"{flag} is {value}; it must be at least {rules['low']}")
            if "high" in rules and value > rules["high"]:
                raise UserError(f"{flag} is {value}; it must be at most {rules['high']}")

    def as_dict(self) -> dict[str, Any]:
        """Names and values, for MLflow parameters and the resolved config."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    """What to adapt, to which images, judged how."""

    backbone: str = option("starter", "A timm model name, or 'starter', the shipped backbone.")
    checkpoint: str | None = option(
        None, "Weights of the backbone: a safetensors file, or a torch file read weights-only."
    )
    metric: str = option("accuracy", "What validation picks by.", choices=METRICS)
    max_bad: float = option(
        0.01, "Share of unreadable images above which to stop.", low=0.0, high=1.0
    )
    family: str | None = option(
        None, "Source or generator of the data; its tasks always share a fold. Default: its name."
    )
    seed: int = option(0, "Seed of splits, probes, candidates and training.", low=0)
    device: str = option("auto", "'auto', 'cpu' or 'cuda'.", choices=("auto", "cpu", "cuda"))


@dataclass(frozen=True, kw_only=True)
class ProbeSettings(Settings):
    """How the probe measures every edge."""

    probe_images: int = option(256, "Training images the probe looks at.", low=8)
    probe_batch: int = option(32, "Images per micro-batch of the probe.", low=2)
    sketch: int = option(
        128, "Width to which wider residual streams are projected; 0 means never.", low=0
    )


@dataclass(frozen=True, kw_only=True)
class PlacementSettings(Settings):
    """The parameter budget that all candidates share: more edges, less rank."""

    edges: int = option(6, "Edges of the placement that defines the budget.", low=1)
    rank: int = option(8, "Rank of its adapters.", low=1)
    max_params: int | None = option(
        None, "Adapter parameters allowed; replaces --edges and --rank.", low=1
    )
    adapter: str = option("bottleneck", "Adapter kind of the candidates.")


@dataclass(frozen=True, kw_only=True)
class TrialSettings(Settings):
    """How one placement is fine-tuned. AdamW, linear warm-up, cosine decay to zero."""

    epochs: int = option(10, "Passes over the training images.", low=1)
    batch_size: int = option(32, "Images per step.", low=1)
    lr: float | None = option(
        None, "Learning rate; default: the one chosen for this backbone and number of edges."
    )
    weight_decay: float = option(1e-4, "AdamW's weight decay.", low=0.0)
    cache_gb: float = option(
        4.0, "Memory for cached activations; beyond it a trial runs uncached.", low=0.0
    )


@dataclass(frozen=True, kw_only=True)
class StoreSettings(Settings):
    """Where everything is recorded."""

    store: str | None = option(
        None, "MLflow tracking URI; default: MLFLOW_TRACKING_URI, else SQLite in autoplace-store/."
    )


@dataclass(frozen=True, kw_only=True)
class ProbeCommandSettings(TaskSettings, ProbeSettings, PlacementSettings, StoreSettings):
    """`autoplace probe`."""


@dataclass(frozen=True, kw_only=True)
class PickSettings(TaskSettings, ProbeSettings, PlacementSettings, TrialSettings, StoreSettings):
    """`autoplace pick`."""

    top_k: int = option(5, "Predicted placements to fine-tune.")
    budget: str | None = option(
        None, "Hard deadline such as 90s, 20m or 2h; the best finished trial is returned."
    )


@dataclass(frozen=True, kw_only=True)
class CollectSettings(TaskSettings, ProbeSettings, PlacementSettings, TrialSettings, StoreSettings):
    """`autoplace collect`."""

    placements: int = option(30, "Placements to sample for each task.", low=1)
    placements_file: str | None = option(
        None, "Text file of placements to run instead, one a line."
    )
