"""timm's data config of a model: input size, mean, standard deviation, interpolation, crop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from timm.data.config import resolve_model_data_config

# timm's function has no annotations.
_resolve: Callable[[Any], dict[str, Any]] = resolve_model_data_config


def resolve_data_config(model: Any) -> dict[str, Any]:
    """Return the model's data config, at the image size that the model was built for."""
    config = _resolve(model)
    # timm's config is that of the pretrained weights; the model may be built for another size.
    size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    if size is not None:
        config["input_size"] = (config["input_size"][0], *size)
    return config
