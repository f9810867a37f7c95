"""Weights from the hub, and a quick error when the hub cannot be reached."""

from __future__ import annotations

import huggingface_hub
import timm
from huggingface_hub import constants
from timm.models import get_pretrained_cfg
from torch import nn

from autoplace.backbones._error import BackboneError

_FILES = ("model.safetensors", "pytorch_model.bin")  # what timm looks for, in this order
_SECONDS = 10.0


def load_from_hub(name: str) -> nn.Module:
    """Create a timm model with its pre-trained weights, from the local cache or the hub.

    Raises
    ------
    BackboneError
        If there are no weights or they cannot be downloaded.
    """
    try:
        _check_reachable(name)
        return timm.create_model(name, pretrained=True)
    # The clients of the hub raise errors of many libraries (HTTP, SSL, cache, missing weights).
    except Exception as error:
        cause = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
        raise BackboneError(
            f"cannot get the weights of backbone {name!r} from the hub ({cause});\n"
            "pass --checkpoint FILE with its weights, or use the shipped backbone 'starter'"
        ) from error


def _check_reachable(name: str) -> None:
    """Send one request to the hub, because its own client retries for most of a minute."""
    config = get_pretrained_cfg(name)
    repository = config and config.hf_hub_id
    if not repository or any(
        isinstance(huggingface_hub.try_to_load_from_cache(repository, file), str) for file in _FILES
    ):
        return
    huggingface_hub.get_session().head(constants.ENDPOINT, timeout=_SECONDS)
