"""Every option, defined once: flags, YAML, environment and MLflow parameters come from here.

This module does not import torch, so that the command line can show its help quickly.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, TypeVar

from autoplace.errors import UserError
from predictors.vocabulary import METRICS

SettingsT = TypeVar("SettingsT", bound="Settings")

PROBE_IMAGES, PROBE_IMAGES_PER_CLASS = 256, 4
HIGHEST_SEED = 2**32 - 1  # the highest that scikit-learn accepts


def option(default: Any, help_text: str, **extra: Any) -> Any:
    """Make a dataclass field with its help.

    `choices`, `low` (inclusive), `above` (exclusive) and `high` are checked on creation.
    """
    return field(default=default, metadata={"help": help_text, **extra})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base class of all settings; it checks ranges and choices.

    Raises
    ------
    UserError
        A value is out of range. The message names the option, its value and what is allowed.

    Examples
    --------
    >>> PickSettings(top_k=3).as_dict()["top_k"]
    3
    >>> PickSettings(top_k=0)
    Traceback (most recent call last):
    autoplace.errors.UserError: --top-k is 0; it must be at least 1
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
            if isinstance(value, float) and math.isinf(value):
                raise UserError(f"{flag} is {value}; it must be a finite number")
            # Not `value < low`: that lets not-a-number through.
            if "low" in rules and not value >= rules["low"]:
                raise UserError(f"{flag} is {value}; it must be at least {rules['low']}")
            if "above" in rules and not value > rules["above"]:
                raise UserError(f"{flag} is {value}; it must be above {rules['above']}")
            if "high" in rules and value > rules["high"]:
                raise UserError(f"{flag} is {value}; it must be at most {rules['high']}")

    def as_dict(self) -> dict[str, Any]:
        """Return names and values, for MLflow parameters and the resolved config."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class TaskSettings(Settings):
    """The backbone to adapt, the data and the metric."""

    backbone: str = option("starter", "A timm model name, or a shipped backbone such as 'starter'.")
    checkpoint: str | None = option(
        None, "Weights of the backbone: a safetensors file, or a torch file (read weights-only)."
    )
    metric: str = option(
        "accuracy",
        "Metric that decides on validation; log-loss is minus the mean cross-entropy, so that "
        "higher is better.",
        choices=METRICS,
    )
    max_bad: float = option(
        0.05, "Stop if more than this share of the images is unreadable.", low=0.0, high=1.0
    )
    family: str | None = option(
        None,
        "Source or generator of the data; a family is never split between folds. Default: that of "
        "the built-in task, or a name made from the images.",
    )
    seed: int = option(
        0, "Seed of splits, probes, candidates and training.", low=0, high=HIGHEST_SEED
    )
    device: str = option("auto", "'auto', 'cpu' or 'cuda'.", choices=("auto", "cpu", "cuda"))


@dataclass(frozen=True, kw_only=True)
class ProbeSettings(Settings):
    """How the probe measures every edge."""

    probe_images: int | None = option(
        None,
        f"Training images that the probe uses; default: {PROBE_IMAGES}, or "
        f"{PROBE_IMAGES_PER_CLASS} per class if that is more.",
        low=8,
    )
    probe_batch: int = option(
        32, "Images per pass of the probe; only one pass is in memory at a time.", low=1
    )
    probe_micro_batches: int = option(
        8, "Groups of images whose gradients are compared to get the signal-to-noise.", low=2
    )
    sketch: int = option(
        128,
        "Project wider residual streams to this width (sources to 3/4 and cotangents to 3/2 of "
        "it); 0 turns this off.",
        low=0,
    )

    def images_for(self, n_classes: int) -> int:
        """Return the number of images to probe a task with.

        Examples
        --------
        >>> ProbeSettings().images_for(10), ProbeSettings().images_for(200)
        (256, 800)
        """
        # An image is scored with a head that was fitted on other images. With fewer than about
        # four images per class, that head has often not seen the class of the image.
        return self.probe_images or max(PROBE_IMAGES, PROBE_IMAGES_PER_CLASS * n_classes)


@dataclass(frozen=True, kw_only=True)
class PlacementSettings(Settings):
    """The parameter budget that all candidates share: more edges, less rank."""

    edges: int | None = option(
        None,
        "Number of edges that sets the parameter budget; default: one per two blocks.",
        low=1,
    )
    rank: int = option(8, "Adapter rank that sets the parameter budget.", low=1)
    max_params: int | None = option(
        None, "Adapter parameters allowed; overrides --edges and --rank.", low=1
    )
    adapter: str = option("bottleneck", "Adapter kind of the candidates.")


@dataclass(frozen=True, kw_only=True)
class InputSettings(Settings):
    """What trials read at each step, and where it is cached."""

    augment: str = option(
        "none",
        "Change training images at random: 'crop' shifts them, 'crop-flip' also mirrors them; the "
        "others do both and then apply timm's policy of that name.",
        choices=(
            *("none", "crop", "crop-flip"),
            *("randaugment", "autoaugment", "augmix", "3augment"),
        ),
    )
    random_erasing: float = option(
        0.0,
        "Probability that a random part of a training image is replaced by noise.",
        low=0.0,
        high=1.0,
    )
    views: int = option(
        0, "Cached views of each augmented image; 0: a new view in each epoch, and no cache.", low=0
    )
    precision: str = option(
        "auto",
        "Number format of trials. 'auto': bf16 on a GPU that supports it, else float32. 'tf32': "
        "float32 with faster, rougher matrix products on a GPU.",
        choices=("auto", "float32", "tf32", "bf16"),
    )
    cache_gb: float = option(
        4.0, "GiB of memory for cached activations; the rest goes to files in --cache-dir.", low=0.0
    )
    cache_dir: str | None = option(
        None, "Folder for cached activations; default: the system's temporary folder."
    )
    cache_precision: str = option(
        "float32",
        "Number format of cached activations; those of test are always float32.",
        choices=("float32", "bf16", "float16"),
    )


@dataclass(frozen=True, kw_only=True)
class TrialSettings(Settings):
    """How one placement is fine-tuned. AdamW, linear warm-up, cosine decay to zero."""

    epochs: int = option(10, "Passes over the training images.", low=1)
    batch_size: int = option(32, "Images per step.", low=1)
    lr: float | None = option(
        None,
        "Peak learning rate of every placement and baseline; default: found in the run, by short "
        "trials at several rates.",
        above=0.0,
    )
    weight_decay: float = option(1e-4, "AdamW's weight decay.", low=0.0)
    class_weights: str = option(
        "none",
        "'balanced' gives every class the same share of the training loss.",
        choices=("none", "balanced"),
    )
    patience: int | None = option(
        None,
        "Stop a trial when neither metric nor loss on validation has improved for this many "
        "epochs.",
        low=1,
    )
    parallel_placements: str = option(
        "auto",
        "Placements to train side by side: a number, or 'auto' for as many as the device can use.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights != "none" and getattr(self, "metric", None) == "log-loss":
            raise UserError(
                "--class-weights changes the probabilities that --metric log-loss measures; "
                "leave one of them out"
            )


@dataclass(frozen=True, kw_only=True)
class PredictorSettings(Settings):
    """Which predictor to use."""

    predictor: str | None = option(
        None, "Folder of a predictor; default: the store's champion, else the shipped one."
    )


@dataclass(frozen=True, kw_only=True)
class StoreSettings(Settings):
    """Where everything is recorded."""

    store: str | None = option(
        None, "MLflow tracking URI; default: MLFLOW_TRACKING_URI, else SQLite in autoplace-store/."
    )


@dataclass(frozen=True, kw_only=True)
class ProbeCommandSettings(
    StoreSettings, PredictorSettings, PlacementSettings, ProbeSettings, TaskSettings
):
    """Options of `autoplace probe`.

    Examples
    --------
    >>> ProbeCommandSettings(probe_images=64).images_for(10)
    64
    """


@dataclass(frozen=True, kw_only=True)
class PickSettings(
    StoreSettings,
    PredictorSettings,
    TrialSettings,
    InputSettings,
    PlacementSettings,
    ProbeSettings,
    TaskSettings,
):
    """Options of `autoplace pick`.

    Examples
    --------
    >>> PickSettings(budget="20m").top_k
    3
    """

    field_size: int = option(24, "Number of predicted placements that start the race.", low=1)
    top_k: int = option(3, "Number of placements that the race leaves as finalists.", low=1)
    patience: int | None = option(
        5,
        "Stop a trial when neither metric nor loss on validation has improved for this many "
        "epochs.",
        low=1,
    )
    folds: int = option(
        2,
        "Folds of the training and validation images on which finalists and every-block are "
        "compared; where you supplied the validation images, seeds.",
        low=1,
    )
    seeds: int = option(3, "Trainings of the winner and of each baseline for the test.", low=1)
    refit: bool = option(
        True,
        "Train the winner and the baselines again on training and validation images before test "
        "is read.",
    )
    baselines: str = option(
        "standard",
        "'full' also compares with full fine-tuning.",
        choices=("standard", "full"),
    )
    budget: str | None = option(
        None, "Time limit such as 90s, 20m or 2h; the best finished trial is tested and returned."
    )


@dataclass(frozen=True, kw_only=True)
class CollectSettings(
    StoreSettings, TrialSettings, InputSettings, PlacementSettings, ProbeSettings, TaskSettings
):
    """Options of `autoplace collect`.

    Examples
    --------
    >>> CollectSettings(placements=10).seed
    0
    """

    placements: int = option(30, "Number of placements to sample for each task.", low=1)
    placements_file: str | None = option(
        None, "Text file of placements to run instead, one per line."
    )


def create_settings(kind: type[SettingsT], options: Mapping[str, Any]) -> SettingsT:
    """Create settings from names and values, as given in YAML or by a caller.

    Parameters
    ----------
    kind : type of Settings
        The class of settings to create.
    options : mapping of str to value
        Dashes and underscores in a name are the same.

    Raises
    ------
    UserError
        A name is unknown (the message suggests a similar one), or a value has the wrong type.

    Examples
    --------
    >>> create_settings(PickSettings, {"top-k": 3, "lr": "1e-3"}).lr
    0.001
    """
    known = {each.name: each for each in fields(kind)}
    values = {}
    for name, value in options.items():
        field_name = name.replace("-", "_")
        if field_name not in known:
            near = get_close_matches(field_name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise UserError(f"unknown option '{name}'; {hint}")
        values[field_name] = _converted(known[field_name], value)
    return kind(**values)


def value_type(each: Field[Any]) -> type:
    """Return the Python type of a field's value, leaving out None."""
    return {"int": int, "float": float, "str": str, "bool": bool}[str(each.type).split(" ")[0]]


def _converted(each: Field[Any], value: Any) -> Any:
    wanted = value_type(each)
    if wanted is bool and isinstance(value, bool):
        return value
    if value is None or wanted is bool or (wanted is int and isinstance(value, bool)):
        if value is None and each.default is None:
            return None
    elif wanted is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-3, without a point, as text
        except ValueError:
            pass
    elif isinstance(value, wanted):
        return value
    elif wanted is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    flag = "--" + each.name.replace("_", "-")
    expected = {str: "text", bool: "true or false"}.get(wanted, "a number")
    raise UserError(f"{flag} is {value!r}; give {expected}")
