"""The winner on disk: placement, trained tensors, classes, preprocessing and card."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import safetensors.torch

from autoplace.backbones import create_chain
from autoplace.errors import UserError
from autoplace.model._adapted import AdaptedModel
from autoplace.placement import Placement

PLACEMENT, TENSORS, CLASSES = "placement.json", "adapter.safetensors", "classes.json"
PREPROCESSING, CARD = "preprocessing.json", "card.md"


def save_adapted(
    model: AdaptedModel, folder: Path | str, card: str, checkpoint: str | None = None
) -> Path:
    """Write a model's own part: what was trained and how to find the rest.

    The frozen backbone is not stored, only its name, its checkpoint (where one was given) and the
    SHA-256 of its weights.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "placement": str(model.placement),
        "backbone": model.chain.name,
        "checkpoint": str(Path(checkpoint).resolve()) if checkpoint else None,
        "backbone_sha256": model.chain.weights_sha256,
        "autoplace": _version(),
    }
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.trainable_state().items()}
    safetensors.torch.save_file(tensors, folder / TENSORS)
    _write_json(folder / CLASSES, list(model.classes))
    _write_json(folder / PREPROCESSING, model.chain.data_config)
    (folder / CARD).write_text(card, encoding="utf-8")
    _write_json(folder / PLACEMENT, description)  # last: a folder that has it is whole
    return folder


def load_adapted(folder: Path | str, checkpoint: str | Path | None = None) -> AdaptedModel:
    """Read what `save_adapted` wrote; the model is in evaluation mode on the CPU.

    checkpoint: where the backbone's weights are now, if they have moved. Raises UserError where
    the folder is incomplete or the backbone's weights are not those it was trained on.
    """
    folder = Path(folder)
    try:
        description: dict[str, Any] = json.loads((folder / PLACEMENT).read_text("utf-8"))
        classes = tuple(json.loads((folder / CLASSES).read_text("utf-8")))
        tensors = safetensors.torch.load_file(folder / TENSORS)
        placement = Placement.parse(description["placement"])
        name, expected = description["backbone"], description["backbone_sha256"]
    except (OSError, KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise _incomplete(folder, error) from error
    chain = create_chain(name, checkpoint=checkpoint or description.get("checkpoint"))
    if chain.weights_sha256 != expected:
        raise UserError(
            f"backbone '{name}' has other weights than this winner was trained on; "
            "give its --checkpoint, or pick again"
        )
    model = AdaptedModel(chain, placement, classes)
    try:
        model.load_trainable_state(tensors)
    except RuntimeError as error:  # tensors of another placement, or for other classes
        raise _incomplete(folder, error) from error
    return model.eval()


def _incomplete(folder: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(
        f"{folder} holds no complete winner ({reason}); give a run of 'autoplace pick'"
    )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _version() -> str:
    try:
        return version("autoplace")
    except PackageNotFoundError:
        return "unknown"
