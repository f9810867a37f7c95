"""Saving and loading a winner: placement, trained tensors, classes, preprocessing and card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from autoplace._version import __version__
from autoplace.adapters import count_parameters
from autoplace.backbones import create_chain
from autoplace.errors import UserError
from autoplace.model._adapted import AdaptedModel
from autoplace.model._merge import merge_adapters
from autoplace.placement import Placement

PLACEMENT, TENSORS, CLASSES = "placement.json", "adapter.safetensors", "classes.json"
PREPROCESSING, CARD = "preprocessing.json", "card.md"
PICTURES = "pictures"  # in PREPROCESSING


def save_adapted(
    model: AdaptedModel,
    folder: Path | str,
    card: str,
    checkpoint: str | None = None,
    merge: bool = False,
    procedure: Mapping[str, Any] | None = None,
    pictures: Mapping[str, Any] | None = None,
) -> Path:
    """Save what was trained, and how to find the backbone.

    The weights of the frozen backbone are not saved, only its name, the path of its checkpoint
    if it has one, and the SHA-256 of its weights.

    Parameters
    ----------
    model : AdaptedModel
        Model to save.
    folder : Path or str
        Folder to write to; created if it does not exist.
    card : str
        Model card in Markdown.
    checkpoint : str or None, default=None
        Path that the backbone's weights were loaded from; None if they are shipped or from the
        hub.
    merge : bool, default=False
        Whether adapters are folded into the backbone when the model is loaded.
    procedure : mapping of str to JSON values, optional
        The procedure that the model was trained with and what it chose, for people to read;
        loading does not need it.
    pictures : mapping of str to JSON values, optional
        How the image files that it was trained on were read; `read_pictures` returns it.

    Returns
    -------
    Path
        The folder.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.placement import Placement
    >>> model = AdaptedModel(create_chain("starter"), Placement.parse("7>3"), ("cat", "dog"))
    >>> with TemporaryDirectory() as folder:
    ...     saved = save_adapted(model, folder, card="# An example")
    ...     sorted(path.name for path in saved.iterdir())
    ['adapter.safetensors', 'card.md', 'classes.json', 'placement.json', 'preprocessing.json']
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    description: dict[str, Any] = {
        "placement": str(model.placement),
        "backbone": model.chain.name,
        "checkpoint": str(Path(checkpoint).resolve()) if checkpoint else None,
        "backbone_sha256": model.chain.weights_sha256,
        "merge": merge,
        "autoplace": __version__,
    }
    if procedure is not None:
        description["procedure"] = dict(procedure)
    # Copies, because safetensors refuses tensors that two adapters share.
    tensors = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.trainable_state().items()
    }
    # `save_file` would raise an error of its own if the disk is full.
    (folder / TENSORS).write_bytes(safetensors.torch.save(tensors))
    _write_json(folder / CLASSES, list(model.classes))
    preprocessing = dict(model.chain.data_config)
    if pictures is not None:
        preprocessing[PICTURES] = dict(pictures)
    _write_json(folder / PREPROCESSING, preprocessing)
    (folder / CARD).write_text(card, encoding="utf-8")
    _write_json(folder / PLACEMENT, description)  # last, so that a folder with it is complete
    return folder


def load_adapted(folder: Path | str, checkpoint: str | Path | None = None) -> AdaptedModel:
    """Load a model that `save_adapted` saved.

    Parameters
    ----------
    folder : Path or str
        Folder of the model.
    checkpoint : str or Path or None, default=None
        Path of the backbone's weights, if they have moved since.

    Returns
    -------
    AdaptedModel
        The model, in evaluation mode on the CPU. If it was saved to be merged, adapters that can
        be are part of its backbone.

    Raises
    ------
    UserError
        If the folder is incomplete, or the backbone has other weights than in training.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.placement import Placement
    >>> model = AdaptedModel(create_chain("starter"), Placement.parse("7>3"), ("cat", "dog"))
    >>> with TemporaryDirectory() as folder:
    ...     loaded = load_adapted(save_adapted(model, folder, card="# An example"))
    >>> loaded.classes, str(loaded.placement)
    (('cat', 'dog'), '7>3@bottleneck:r=8')
    """
    folder = Path(folder)
    try:
        description: dict[str, Any] = json.loads((folder / PLACEMENT).read_text("utf-8"))
        classes = tuple(json.loads((folder / CLASSES).read_text("utf-8")))
        tensors = safetensors.torch.load_file(folder / TENSORS)
        placement = Placement.parse(description["placement"])
        name, expected = description["backbone"], description["backbone_sha256"]
        _check_types(description, classes)
    except (
        OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError,
        safetensors.SafetensorError,
    ) as error:  # fmt: skip
        raise _incomplete(folder, error) from error
    chain = create_chain(name, checkpoint=checkpoint or description.get("checkpoint"))
    if chain.weights_sha256 != expected:
        raise UserError(
            f"backbone '{name}' has other weights than this winner was trained on; "
            "pass the original ones with --checkpoint, or pick again"
        )
    # Known before anything is built: a text of a few bytes could ask for any amount of memory.
    asked = count_parameters(placement, chain.shape)
    held = sum(tensor.numel() for tensor in tensors.values())
    if asked > held:
        raise _incomplete(folder, ValueError(f"{placement} has {asked} parameters, not {held}"))
    model = AdaptedModel(chain, placement, classes)
    try:
        model.load_trainable_state(tensors)
    except RuntimeError as error:  # the tensors are for another placement or other classes
        raise _incomplete(folder, error) from error
    return merge_adapters(model.eval()).model if description.get("merge") else model.eval()


def read_pictures(folder: Path | str) -> dict[str, Any] | None:
    """Return the `pictures` that a model was saved with; None if it was saved without.

    Raises
    ------
    UserError
        If the file that holds them is missing or damaged.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.placement import Placement
    >>> model = AdaptedModel(create_chain("starter"), Placement.parse("7>3"), ("cat", "dog"))
    >>> with TemporaryDirectory() as folder:
    ...     saved = save_adapted(model, folder, card="# An example", pictures={"max_pixels": 100})
    ...     read_pictures(saved)
    {'max_pixels': 100}
    """
    try:
        preprocessing = json.loads((Path(folder) / PREPROCESSING).read_text("utf-8"))
        found: dict[str, Any] | None = preprocessing.get(PICTURES)
    except (OSError, AttributeError, RecursionError, ValueError) as error:
        raise _incomplete(Path(folder), error) from error
    return found


def _check_types(description: Mapping[str, Any], classes: tuple[Any, ...]) -> None:
    """Raise TypeError where a description holds something else than what was written."""
    texts = [description["backbone"], description["backbone_sha256"], *classes]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("names must be text")
    if not classes:
        raise ValueError("there are no classes")
    if not isinstance(description.get("checkpoint"), str | None):
        raise TypeError("the path of the checkpoint must be text")


def _incomplete(folder: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(
        f"{folder} holds no complete winner ({reason}); give a run of 'autoplace pick'"
    )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
