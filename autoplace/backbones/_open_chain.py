"""OpenChain: a residual chain whose sub-layers can be changed for one step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from autoplace.backbones._chain import ResidualChain
from autoplace.backbones._shape import Site, SubLayer
from autoplace.backbones._sublayers import is_post_norm

NORMS = {SubLayer.ATTENTION: "norm1", SubLayer.MLP: "norm2"}
# (site, input, output) -> changed output, for all rows of the batch.
Change = Callable[[Site, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Changes:
    """What is changed inside a sub-layer during one step.

    Parameters
    ----------
    sites : sequence of Site
        Where.
    change : callable
        Computes the changed output of a site from its input and output.
    extra_tokens : int, default=0
        Tokens that attention sees besides those of the stream; site `kv` gives their keys and
        values.

    Examples
    --------
    >>> Changes([Site.FC2], lambda site, given, output: 2 * output).extra_tokens
    0
    """

    sites: Sequence[Site]
    change: Change
    extra_tokens: int = 0


class OpenChain:
    """A view of a residual chain: the same weights in modules of its own.

    During a step with changes, hooks on these modules compute them; they are gone when the step
    ends. The chain itself never has a hook, so others can use it at the same time.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone; its weights are shared, not copied.

    Notes
    -----
    timm computes queries, keys and values in three ways: with one map, with three, or with one map
    whose bias is kept apart. In the view they are always one map, which makes a copy of these
    weights in the last two cases.

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> chain = create_chain("starter")
    >>> view, hidden = OpenChain(chain), torch.randn(2, 17, 96)
    >>> torch.equal(view.step(1, hidden), chain.step(1, hidden))
    True
    >>> without_mlp = Changes([Site.FC2], lambda site, given, output: torch.zeros_like(output))
    >>> torch.equal(view.step(2, hidden, without_mlp), hidden)
    True
    """

    def __init__(self, chain: ResidualChain) -> None:
        tensors = [*chain.parameters(), *chain.buffers()]
        # A deep copy that takes every tensor for copied already: new modules, the same weights.
        self._chain = copy.deepcopy(chain, {id(tensor): tensor for tensor in tensors})
        for block in self._chain.model.blocks:
            use_one_map(block.attn)
            block.plain_norm1, block.plain_norm2 = map(_without_weights, (block.norm1, block.norm2))

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return self._chain.n_nodes

    def features(self, h_last: Tensor) -> Tensor:
        """See `ResidualChain.features`."""
        return self._chain.features(h_last)

    def step(self, k: int, h: Tensor, changes: Changes | None = None) -> Tensor:
        """Compute node h_k from node h_{k-1}; see `ResidualChain.step`."""
        if changes is None:
            return self._chain.step(k, h)
        with _changed(self._block(k), SubLayer.before(k), changes):
            return self._chain.step(k, h)

    def normalise(self, k: int, hidden: Tensor) -> Tensor:
        """Apply the norm of sub-layer k, which computes node k."""
        return cast(Tensor, getattr(self._block(k), NORMS[SubLayer.before(k)])(hidden))

    def branch_site(self, k: int) -> Site:
        """Return the last site of sub-layer k: the stream receives its output times a constant."""
        return Site.NORM if is_post_norm(self._block(k)) else Site.of(SubLayer.before(k))[-1]

    def _block(self, k: int) -> Any:
        return self._chain.model.blocks[(k - 1) // 2]


def use_one_map(attention: Any) -> None:
    """Let an attention module compute queries, keys and values by calling one linear map."""
    attention.qkv = qkv_map(attention)
    for name in ("q_bias", "v_bias", "q_proj", "k_proj", "v_proj"):
        if hasattr(attention, name):
            setattr(attention, name, None)


def qkv_map(attention: Any) -> nn.Linear:
    """Return the map to queries, keys and values; a new one where timm has none that is complete.

    Parameters
    ----------
    attention : Module
        An attention module, which is not changed.
    """
    fused = getattr(attention, "qkv", None)
    if fused is None:
        parts = [attention.q_proj, attention.k_proj, attention.v_proj]
        weight = torch.cat([part.weight for part in parts])
        biases = [part.bias for part in parts]
    elif getattr(attention, "q_bias", None) is not None:
        weight = fused.weight
        biases = [attention.q_bias, attention.k_bias, attention.v_bias]
    else:
        return cast(nn.Linear, fused)
    if any(bias is not None for bias in biases):
        width = len(weight) // 3
        none = weight.new_zeros(width)
        bias = torch.cat([none if each is None else each for each in biases])
        if fused is not None and fused.bias is not None:
            bias = bias + fused.bias
    else:
        bias = None
    linear = nn.Linear(weight.shape[1], len(weight), bias=bias is not None, device="meta")
    linear.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        linear.bias = nn.Parameter(bias, requires_grad=False)
    return linear


@contextmanager
def _changed(block: Any, sublayer: SubLayer, changes: Changes) -> Iterator[None]:
    """Hook the changes into a block, and take the hooks out again."""
    hooks = _attention_hooks if sublayer is SubLayer.ATTENTION else _mlp_hooks
    with ExitStack() as stack:
        for handle in hooks(block, changes):
            stack.callback(handle.remove)
        yield


def _mlp_hooks(block: Any, changes: Changes) -> Iterator[Any]:
    if Site.NORM in changes.sites:
        yield block.norm2.register_forward_hook(_norm_hook(block.plain_norm2, changes))
    for site in (Site.FC1, Site.FC2):
        if site in changes.sites:
            module = getattr(block.mlp, site.value)
            yield module.register_forward_hook(_hook(site, changes))


def _attention_hooks(block: Any, changes: Changes) -> Iterator[Any]:
    attention, extra = block.attn, changes.extra_tokens
    if Site.NORM in changes.sites:
        yield block.norm1.register_forward_hook(_norm_hook(block.plain_norm1, changes))
    if extra:
        yield attention.register_forward_pre_hook(
            lambda module, args: (nn.functional.pad(args[0], (0, 0, 0, extra)), *args[1:])
        )
        yield attention.register_forward_hook(lambda module, args, output: output[:, :-extra])
    if extra or Site.QKV in changes.sites:
        yield attention.qkv.register_forward_hook(_qkv_hook(changes))
    if Site.O in changes.sites:
        yield attention.proj.register_forward_hook(_hook(Site.O, changes))


def _hook(site: Site, changes: Changes) -> Callable[..., Tensor]:
    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return changes.change(site, args[0], output)

    return hook


def _norm_hook(plain: nn.Module, changes: Changes) -> Callable[..., Tensor]:
    """Give the change the normalised stream without the norm's weights as its input."""

    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return changes.change(Site.NORM, plain(args[0]), output)

    return hook


def _without_weights(norm: nn.Module) -> nn.Module:
    """Copy a norm with weights of 1 and biases of 0."""
    plain = copy.deepcopy(norm)
    for name, parameter in plain.named_parameters():
        parameter.data.fill_(1.0 if name.endswith("weight") else 0.0)
    return plain


def _qkv_hook(changes: Changes) -> Callable[..., Tensor]:
    extra = changes.extra_tokens

    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        given = args[0]
        if extra:
            given, output = given[:, :-extra], output[:, :-extra]
        if Site.QKV in changes.sites:
            output = changes.change(Site.QKV, given, output)
        if extra:
            width = output.shape[-1] // 3
            none = output.new_zeros(len(output), extra, 2 * width)
            keys_and_values = changes.change(Site.KV, given, none)
            rows = nn.functional.pad(keys_and_values, (width, 0))  # extra tokens ask nothing
            output = torch.cat([output, rows], dim=1)
        return output

    return hook
