"""The SHA-256 that identifies the weights of a backbone, whatever file they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash the tensors of a state dict in the order of their names.

    The hash covers the name, dtype, shape and bytes of each tensor, so equal weights have equal
    hashes whether they come from the hub, a safetensors file or a torch file.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
