"""A small chain and images for it, drawn placements, adapters that are no longer silent."""

from __future__ import annotations

import pytest
import torch
from hypothesis import strategies as st

from autoplace.backbones import create_chain
from autoplace.placement import AdapterSpec, Edge, Placement


@pytest.fixture(scope="session")
def chain():
    return create_chain("starter", pretrained=False)


@pytest.fixture(scope="session")
def images():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def placements():
    """A strategy: up to five edges anywhere, of either kind, over two or three passes."""
    nodes = st.integers(0, 24)
    return st.builds(
        lambda edges, kind, unroll: Placement.of(edges, AdapterSpec.of(kind, r=2), unroll),
        st.sets(st.builds(Edge, nodes, nodes), max_size=5),
        st.sampled_from(["bottleneck", "linear"]),
        st.sampled_from([2, 3]),
    )


@pytest.fixture(scope="session")
def awaken():
    """Gives a model's adapters random weights, so that they are heard."""

    def wake(model, seed=0):
        generator = torch.Generator().manual_seed(seed)
        for parameter in model.adapters.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
        return model

    return wake
