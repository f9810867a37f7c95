"""What adapters inside sub-layers would receive: gradients at every map of every sub-layer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd
import torch
from torch import Tensor

from autoplace.backbones import Changes, OpenChain, ResidualChain, Site, SubLayer
from autoplace.probing._gradients import GradientSum, gradient_products
from autoplace.probing._sketch import Sketch
from autoplace.probing._spectrum import spectrum_statistics

_OF_WEIGHT = ("gradient_rank", "stable_rank", "frobenius_norm", "snr")
# The node that a sub-layer computes, and a site in it.
_Key = tuple[int, Site]
SITE_COLUMNS = ("node", "map", *_OF_WEIGHT, "gamma_norm", "beta_norm")


class SiteSums:
    """Gradients of the maps inside all sub-layers, over the micro-batches added so far.

    A map computes y = W x + b, and D = d loss / d y. Of every map, this sums the gradient of its
    weight, G = sum D xᵀ, and those of a scale and a shift of its output, sum D * y and sum D. All
    belong to the loss summed over images and tokens. A norm has no weight matrix.

    Parameters
    ----------
    chain : ResidualChain
        The frozen backbone.
    width : int
        Width of the sketch: x is projected to 3/4 of it where it is wider than `width`, D is not;
        0 turns this off.
    seed : int
        Seed of the sketch.

    Notes
    -----
    The cotangents are caught by hooks during the backward pass, and each map's tensors are freed as
    soon as they are used. So no two maps' cotangents are in memory at the same time. A pass holds
    little that its graph does not hold: the input of a map is projected in the forward pass where
    its sketch is known, the output of a norm is computed again, and what a sub-layer adds to the
    stream is taken as the difference of two nodes.

    The gradients of adapters follow. Those of SSF (at gamma = 1, beta = 0) and BitFit are those of
    the scale and the shift. For AdapterBias with alpha = 1, that of v is that of the shift of
    `fc2`. For LoRA, that of B is alpha / r · G Aᵀ, whose squared norm is in expectation over the
    new A (PEFT's) alpha² / (3 r · inputs) · ‖G‖_F².

    Examples
    --------
    >>> import torch
    >>> from autoplace.backbones import create_chain
    >>> from autoplace.probing import capture
    >>> chain = create_chain("fashion-vit8")
    >>> sites = SiteSums(chain, width=0, seed=0)
    >>> captured = capture(chain, torch.randn(2, 3, 32, 32), sites.step)
    >>> _ = captured.cotangents(captured.features.square().sum())
    >>> sites.end_micro_batch()
    >>> sites.gradients[2, Site.FC1].total.shape  # Gᵀ
    torch.Size([1, 1, 64, 256])
    >>> list(sites.table(n_rows=2)["map"][:8])
    ['norm', 'q', 'k', 'v', 'o', 'norm', 'fc1', 'fc2']
    """

    def __init__(self, chain: ResidualChain, width: int, seed: int) -> None:
        self._view = OpenChain(chain)
        self._width = width
        self._seed = seed
        self._sites = {
            sublayer: [
                site
                for site in Site.of(sublayer)
                if site is not Site.KV and chain.shape.width_at(site) is not None
            ]
            for sublayer in SubLayer
        }
        self.sketches: dict[_Key, Sketch] = {}
        self.gradients: dict[_Key, GradientSum] = {}
        self.scales: dict[_Key, Tensor] = {}
        self.shifts: dict[_Key, Tensor] = {}
        self._of_micro_batch: dict[_Key, Tensor] = {}

    def step(self, node: int, hidden: Tensor) -> Tensor:
        """Compute a node from the one before it; its backward pass adds to the sums."""
        sites = self._sites[SubLayer.before(node)]
        before = hidden.detach()
        after = self._view.step(node, hidden, Changes(sites, partial(self._watch, node, before)))
        branch = self._view.branch_site(node)
        if branch in sites:
            # d loss / d y * y, whatever constants multiply y before it is added to the stream.
            _on_cotangent(after, partial(self._add_scale, (node, branch)), after.detach(), before)
        return after

    def end_micro_batch(self) -> None:
        """Add the gradients of the passes since the last call as those of one micro-batch."""
        for key, gradient in self._of_micro_batch.items():
            self.gradients.setdefault(key, GradientSum()).add(gradient)
        self._of_micro_batch.clear()

    def table(self, n_rows: int) -> pd.DataFrame:
        """Create a table with one row per sub-layer and map, of the loss averaged over images.

        Parameters
        ----------
        n_rows : int
            Number of images.

        Returns
        -------
        DataFrame
            `node`: the node that the sub-layer computes. `map`: `norm`, `q`, `k`, `v`, `o`, `fc1`
            or `fc2`; what the backbone lacks has no row. `gradient_rank`, `stable_rank`,
            `frobenius_norm` and `snr` of the gradient of the weight, as in the table of edges;
            NaN for `norm`. `gamma_norm` and `beta_norm`: norms of the gradients of a scale and of a
            shift of the map's output.
        """
        parts = []
        for node, site in sorted(self.scales, key=lambda key: (key[0], list(Site).index(key[1]))):
            names = site.maps
            columns = self._of_weight(node, site, n_rows) if site is not Site.NORM else {}
            for name, sums in (("gamma_norm", self.scales), ("beta_norm", self.shifts)):
                vectors = (sums[node, site] / n_rows).view(len(names), -1)
                columns[name] = torch.linalg.vector_norm(vectors, dim=1)
            values = {name: column.double().cpu().numpy() for name, column in columns.items()}
            parts.append(pd.DataFrame({"node": node, "map": names} | values))
        return pd.concat(parts, ignore_index=True).reindex(columns=SITE_COLUMNS)

    def _of_weight(self, node: int, site: Site, n_rows: int) -> dict[str, Tensor]:
        gradient = self.gradients[node, site]
        mean = self.sketches[node, site].spectral(gradient.total[0] / n_rows)
        statistics = spectrum_statistics(mean) | {"snr": gradient.signal_to_noise()[0]}
        return {name: statistics[name] for name in _OF_WEIGHT}

    def _watch(
        self, node: int, before: Tensor, site: Site, given: Tensor, output: Tensor
    ) -> Tensor:
        """Hold what the backward pass needs of a map; only what the graph does not hold already."""
        key = (node, site)
        _on_cotangent(output, partial(self._add_shift, key))
        if site is not self._view.branch_site(node):
            if site is Site.NORM:
                _on_cotangent(output, partial(self._add_scale_of_norm, key), before)
            else:
                _on_cotangent(output, partial(self._add_scale, key), output.detach())
        if site is not Site.NORM:
            source = given.detach().flatten(0, 1)
            known = key in self.sketches
            if known:
                source = self.sketches[key].source(0, source)
            _on_cotangent(output, partial(self._add_gradient, key, known), source)
        return output

    def _add_shift(self, key: _Key, cotangent: Tensor) -> None:
        _add_to(self.shifts, key, cotangent.flatten(0, 1).sum(0))

    def _add_scale(
        self, key: _Key, cotangent: Tensor, output: Tensor, minus: Tensor | None = None
    ) -> None:
        if minus is not None:
            output = output - minus
        # Image by image: a product of whole batches takes more memory and, on a CPU, more time.
        total = torch.zeros_like(output[0])
        for ours, theirs in zip(cotangent, output, strict=True):
            total.addcmul_(ours, theirs)
        _add_to(self.scales, key, total.sum(0))

    def _add_scale_of_norm(self, key: _Key, cotangent: Tensor, before: Tensor) -> None:
        self._add_scale(key, cotangent, self._view.normalise(key[0], before))

    def _add_gradient(
        self, key: _Key, is_sketched: bool, cotangent: Tensor, source: Tensor
    ) -> None:
        # (maps, rows, width) with the memory layout that `gradient_products` reads without a copy.
        targets = cotangent.flatten(0, 1).unflatten(1, (len(key[1].maps), -1)).transpose(0, 1)
        if not is_sketched:
            if key not in self.sketches:
                self.sketches[key] = self._fit(source, targets)
            source = self.sketches[key].source(0, source)
        _add_to(self._of_micro_batch, key, gradient_products(source[None], targets))

    def _fit(self, source: Tensor, targets: Tensor) -> Sketch:
        if 0 < self._width < source.shape[1]:
            return Sketch.of_sources([source], list(targets), self._width, self._seed)
        return Sketch()


def _on_cotangent(output: Tensor, use: Callable[..., None], *held: Tensor) -> None:
    """Call `use` with the cotangent of a tensor and with other tensors, which are then freed."""
    # What is held must be detached: a hook that held `output` itself would keep its graph for ever.
    waiting = list(held)

    def hook(cotangent: Tensor) -> None:
        with torch.no_grad():
            use(cotangent, *waiting)
        waiting.clear()

    output.register_hook(hook)


def _add_to(sums: dict[_Key, Tensor], key: _Key, value: Tensor) -> None:
    sums[key] = sums[key].add_(value) if key in sums else value
