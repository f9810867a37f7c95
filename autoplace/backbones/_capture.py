"""What timm's own forward pass gives to the blocks, read with hooks instead of re-implemented."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class _Reached(Exception):
    """Ends a forward pass at the first block; `stream` is the block's input."""

    def __init__(self, stream: Tensor) -> None:
        super().__init__()
        self.stream = stream


def capture_embedding(model: Any, first_block: nn.Module, images: Tensor) -> Tensor:
    """Return the residual stream that enters the first block, (batch, tokens, dim).

    timm has no public function for this, and the layers before the first block (prefix tokens,
    position embedding, norm_pre) differ between families. So timm's own forward pass runs and
    is stopped at the first block.
    """

    def stop(module: nn.Module, args: tuple[Any, ...]) -> None:
        raise _Reached(args[0])

    handle = first_block.register_forward_pre_hook(stop)
    try:
        model.forward_features(images)
    except _Reached as reached:
        return reached.stream
    finally:
        handle.remove()
    raise RuntimeError("the forward pass did not reach the first block")


@contextmanager
def capture_extras(blocks: Sequence[nn.Module]) -> Iterator[list[dict[str, Any]]]:
    """Record the arguments that each block receives besides the stream.

    Yields
    ------
    list of dict
        For each block, values by argument name, without defaults; filled by forward passes
        within the context. EVA passes rotary embeddings, BEiT a shared relative position bias,
        a plain ViT nothing.
    """
    extras: list[dict[str, Any]] = [{} for _ in blocks]

    def recorder(index: int) -> Any:
        parameters = inspect.signature(blocks[index].forward).parameters

        def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = dict(zip(parameters, args, strict=False)) | kwargs
            stream = next(iter(parameters))
            extras[index] = {
                key: value
                for key, value in given.items()
                if key != stream and value is not parameters[key].default
            }

        return record

    handles = [
        block.register_forward_pre_hook(recorder(i), with_kwargs=True)
        for i, block in enumerate(blocks)
    ]
    try:
        yield extras
    finally:
        for handle in handles:
            handle.remove()
