"""The sites of a sub-layer at which several kinds change something."""

from __future__ import annotations

from collections.abc import Sequence

from autoplace.adapters._base import sublayer_of
from autoplace.backbones import BackboneShape, Site
from autoplace.placement import Edge, PlacementError


def own_sites(edge: Edge) -> tuple[Site, ...]:
    """List the norm and the linear maps of the sub-layer that a parallel edge spans.

    Examples
    --------
    >>> [site.value for site in own_sites(Edge(0, 1))]
    ['norm', 'qkv', 'o']
    """
    return tuple(site for site in Site.of(sublayer_of(edge)) if site is not Site.KV)


def own_maps(edge: Edge) -> tuple[str, ...]:
    """Name the maps at these sites.

    Examples
    --------
    >>> own_maps(Edge(0, 1))
    ('norm', 'q', 'k', 'v', 'o')
    """
    return tuple(name for site in own_sites(edge) for name in site.maps)


def output_widths(sites: Sequence[Site], shape: BackboneShape) -> dict[Site, int]:
    """Return the widths of what the sites of an adapter give, after `check_sites`."""
    widths = {site: shape.width_at(site) for site in sites}
    return {site: width[1] for site, width in widths.items() if width is not None}


def check_sites(sites: Sequence[Site], shape: BackboneShape, edge: Edge) -> None:
    """Check that a backbone has the sites at which an adapter changes something.

    Raises
    ------
    PlacementError
        If it lacks one.
    """
    for site in sites:
        if shape.width_at(site) is None:
            raise PlacementError(
                f"the MLP of this backbone has no linear map {site}, so edge {edge} cannot have "
                "this adapter; use it on attention"
            )
