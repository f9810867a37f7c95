"""Groups of options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass

from autoplace.errors import UserError
from autoplace.settings._base import Settings, option
from predictors.vocabulary import METRICS

PROBE_IMAGES, PROBE_IMAGES_PER_CLASS = 256, 4
HIGHEST_SEED = 2**32 - 1  # the highest that scikit-learn accepts


@dataclass(frozen=True, kw_only=True)
class BackboneSettings(Settings):
    """The backbone to adapt.

    Examples
    --------
    >>> BackboneSettings().backbone
    'starter'
    """

    heading = "Data and backbone"

    backbone: str = option("starter", "A timm model name, or a shipped backbone such as 'starter'.")
    checkpoint: str | None = option(
        None, "Weights of the backbone: a safetensors file, or a torch file (read weights-only)."
    )


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """How data is read and scored, and where.

    Examples
    --------
    >>> DataSettings().metric
    'accuracy'
    """

    heading = "Data and backbone"

    metric: str = option(
        "accuracy",
        "Metric on validation and test; log-loss is minus the mean cross-entropy, so that higher "
        "is better.",
        choices=METRICS,
    )
    max_bad: float = option(
        0.05, "Stop if more than this share of the images is unreadable.", low=0.0, high=1.0
    )
    path_column: str | None = option(
        None, "Column of a table that holds the paths; default: found by its name."
    )
    label_column: str | None = option(
        None, "Column of a table that holds the labels; default: found by its name."
    )
    split_column: str | None = option(
        None,
        "Column of a table that holds the splits; default: found by its name. 'none': splits are "
        "made, whatever the table says.",
    )
    max_pixels: int = option(
        89_478_485,
        "Maximum number of pixels to decode per image (89 million take 256 MiB). Larger JPEG and "
        "JPEG 2000 images are decoded at a reduced size; others count as unreadable.",
        low=1,
    )
    family: str | None = option(
        None,
        "Source or generator of the data. When predictors are compared, a family is left out as a "
        "whole. Default: the family of the built-in task, or a name made from the images.",
    )
    seed: int = option(
        0, "Seed of splits, probes, candidates and training.", low=0, high=HIGHEST_SEED
    )
    device: str = option("auto", "'auto', 'cpu' or 'cuda'.", choices=("auto", "cpu", "cuda"))


@dataclass(frozen=True, kw_only=True)
class TaskSettings(DataSettings, BackboneSettings):
    """The backbone to adapt, the data and the metric.

    Examples
    --------
    >>> TaskSettings().backbone
    'starter'
    """


@dataclass(frozen=True, kw_only=True)
class ProbeSettings(Settings):
    """How the probe measures every edge.

    Examples
    --------
    >>> ProbeSettings(sketch=0).sketch
    0
    """

    heading = "Probe"

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
        8,
        "Number of groups of images; comparing their gradients gives the signal-to-noise ratio.",
        low=2,
    )
    sketch: int = option(
        128,
        "Width to which wider residual streams are projected (sources to 3/4 of it, cotangents to "
        "3/2 of it); 0: no projection.",
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
    """The parameter budget that all candidates share: more edges, less rank.

    Examples
    --------
    >>> PlacementSettings(rank=4).rank
    4
    """

    heading = "Placements"

    edges: int | None = option(
        None,
        "Parameter budget of a placement, as a number of bottlenecks of rank --rank; default: one "
        "per two blocks.",
        low=1,
    )
    rank: int = option(8, "Rank of the bottlenecks that --edges counts.", low=1)
    max_params: int | None = option(
        None, "Parameter budget as a number of parameters; overrides --edges and --rank.", low=1
    )
    adapter: str = option(
        "auto",
        "Adapter kind, as KIND or KIND:OPTION=VALUE,... With 'auto', pick tries bottlenecks, LoRA, "
        "ARC, AdapterBias and any two together under one budget; other commands use bottlenecks.",
    )


@dataclass(frozen=True, kw_only=True)
class InputSettings(Settings):
    """What trials read at each step, and where it is cached.

    Examples
    --------
    >>> InputSettings(augment="crop").views
    0
    """

    heading = "Training"

    augment: str = option(
        "none",
        "Random changes of training images: 'crop' shifts them, 'crop-flip' also mirrors them; "
        "the others do both and then apply timm's policy of that name.",
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
        0,
        "Number of random views of each image to make and cache, with --augment; 0: a new view in "
        "each epoch, not cached.",
        low=0,
    )
    precision: str = option(
        "auto",
        "Number format that trials compute in. 'auto': bf16 on a GPU that supports it, else "
        "float32. 'tf32': float32 with faster, less exact matrix products on a GPU.",
        choices=("auto", "float32", "tf32", "bf16"),
    )
    cache_gb: float = option(
        4.0,
        "Memory for cached activations, in GiB, of each worker if there are several; what does not "
        "fit goes to files in --cache-dir.",
        low=0.0,
    )
    cache_dir: str | None = option(
        None, "Folder for cached activations; default: the system's temporary folder."
    )
    cache_precision: str = option(
        "float32",
        "Number format of cached activations; those of test images are always float32.",
        choices=("float32", "bf16", "float16"),
    )


@dataclass(frozen=True, kw_only=True)
class TrialSettings(Settings):
    """How one placement is fine-tuned. AdamW, linear warm-up, cosine decay to zero.

    Examples
    --------
    >>> TrialSettings(epochs=5).lr is None
    True
    """

    heading = "Training"

    epochs: int = option(10, "Passes over the training images.", low=1)
    batch_size: int = option(32, "Images per step.", low=1)
    lr: float | None = option(
        None,
        "Peak learning rate of every placement and baseline; default: found by short trials at "
        "several rates, for each adapter kind.",
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
        "epochs. Default: train all epochs.",
        low=1,
    )
    parallel_placements: str = option(
        "auto",
        "Number of placements to train side by side, or 'auto' for as many as the device can use.",
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
    """Which predictor to use.

    Examples
    --------
    >>> PredictorSettings().predictor is None
    True
    """

    heading = "Predictor and store"

    predictor: str | None = option(
        None, "Folder of a predictor; default: the store's champion, else the shipped one."
    )


@dataclass(frozen=True, kw_only=True)
class StoreSettings(Settings):
    """Where everything is recorded.

    Examples
    --------
    >>> StoreSettings(store="sqlite:///mlflow.db").store
    'sqlite:///mlflow.db'
    """

    heading = "Predictor and store"

    store: str | None = option(
        None, "MLflow tracking URI; default: MLFLOW_TRACKING_URI, else SQLite in autoplace-store/."
    )
