"""Tiny-Attention: tokens see one another, and a new adapter changes little."""

from __future__ import annotations

import pytest
import torch

from autoplace.adapters import Bottleneck, TinyAttention, check_adapters
from autoplace.backbones import BackboneShape
from autoplace.placement import Edge, Placement, PlacementError

SHAPE, EDGE = BackboneShape.plain(dim=12), Edge(1, 1)


def new(a=1, heads=1, seed=0):
    torch.manual_seed(seed)
    return TinyAttention(TinyAttention.Config(a=a, heads=heads), SHAPE, EDGE)


def awaken(adapter):
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter += torch.randn_like(parameter)
    return adapter


@pytest.fixture
def hidden():
    return 4 * torch.randn(3, 7, 12, generator=torch.Generator().manual_seed(1)) + 2


@pytest.mark.parametrize(("a", "heads"), [(1, 1), (4, 1), (6, 3)])
@torch.no_grad()
def test_it_computes_what_torchs_own_layers_compute(hidden, a, heads):
    adapter = awaken(new(a, heads))
    queries, keys, values = adapter.down(adapter.norm(hidden)).transpose(0, 1).chunk(3, dim=-1)
    mixed, _ = adapter.attention(queries, keys, values)
    expected = adapter.up(mixed.transpose(0, 1))
    torch.testing.assert_close(adapter(hidden), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_token_changes_the_output_at_others_which_it_does_not_in_a_bottleneck(hidden):
    changed = hidden.clone()
    changed[:, 2] = -changed[:, 2].flip(-1)
    bottleneck = Bottleneck(Bottleneck.Config(r=2), SHAPE, EDGE)
    for adapter, reach in ((awaken(new()), 7), (awaken(bottleneck), 1)):
        differs = (adapter(changed) - adapter(hidden)).abs().amax(dim=(0, 2)) > 1e-6
        assert differs.sum() == reach


@torch.no_grad()
def test_a_new_adapter_of_width_one_adds_at_most_a_hundredth_of_what_it_mixes(hidden):
    for seed in range(20):
        adapter = new(seed=seed)
        queries, keys, values = adapter.down(adapter.norm(hidden)).transpose(0, 1).chunk(3, -1)
        mixed, _ = adapter.attention(queries, keys, values)
        bound = 0.01 * (mixed.transpose(0, 1).abs().sum(-1, keepdim=True) + 1)
        assert (adapter(hidden).abs() <= bound).all()
        assert adapter(hidden).any()


@torch.no_grad()
def test_several_adapters_together_compute_what_each_computes_alone(hidden):
    adapters = [awaken(new(4, 2, seed)) for seed in range(3)]
    stacked = {
        name: torch.stack([dict(adapter.named_parameters())[name] for adapter in adapters])
        for name, _ in adapters[0].named_parameters()
    }
    inputs = torch.stack([hidden, hidden.flip(0), -hidden])
    found = adapters[0].together(stacked, inputs)
    for adapter, given, each in zip(adapters, inputs, found, strict=True):
        torch.testing.assert_close(each, adapter(given), rtol=1e-4, atol=1e-5)


def test_a_wide_language_model_gets_the_published_share_of_parameters():
    shape = BackboneShape.plain(dim=1024, n_nodes=49)
    count = 24 * TinyAttention.parameters_at(TinyAttention.Config(), shape, EDGE)
    assert count == 172_296
    assert count / 355e6 == pytest.approx(0.0005, rel=0.05)  # RoBERTa-large


@pytest.mark.parametrize("text", ["a=0", "a=1.5", "a=3,heads=2", "a=2,heads=0"])
def test_widths_that_heads_cannot_share_are_refused(text):
    with pytest.raises(PlacementError, match="heads must divide a"):
        check_adapters(Placement.parse(f"1>1@tiny-attention:{text}"))
