"""Prefix tuning: attention reads a learned table before its own keys and values."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from autoplace.adapters import check_adapters
from autoplace.backbones import BackboneShape, create_chain
from autoplace.model import AdaptedModel, Population
from autoplace.placement import Edge, Placement, PlacementError


@pytest.fixture(scope="module")
def chain():
    return create_chain("starter")


def model_of(chain, text, seed=0):
    torch.manual_seed(seed)
    model = AdaptedModel(chain, Placement.parse(text), ("a", "b", "c")).eval()
    with torch.no_grad():
        for parameter in model.adapters.parameters():
            parameter += torch.randn_like(parameter)
    return model


def with_table(block, hidden, table):
    """The stream after an attention whose keys and values begin with a table."""
    joined = block.attn.qkv(block.norm1(hidden))
    queries, keys, values = joined.view(len(hidden), -1, 3, 3, 32).permute(2, 0, 3, 1, 4)
    learned = table.view(-1, 2, 3, 32).permute(1, 2, 0, 3)
    more_keys, more_values = (part.expand(len(hidden), -1, -1, -1) for part in learned)
    mixed = functional.scaled_dot_product_attention(
        queries, torch.cat([more_keys, keys], dim=2), torch.cat([more_values, values], dim=2)
    )
    return hidden + block.attn.proj(mixed.transpose(1, 2).flatten(2))


@torch.no_grad()
def test_attention_reads_the_table_before_its_own_keys_and_values(chain):
    model = model_of(chain, "0>1@prefix:length=4")
    hidden = torch.randn(2, 17, 96)
    expected = with_table(chain.model.blocks[0], hidden, model.adapter(Edge(0, 1)).table)
    for node in range(2, chain.n_nodes):
        expected = chain.step(node, expected)
    torch.testing.assert_close(
        model.forward_suffix({0: hidden}),
        model.head(chain.features(expected)),
        rtol=1e-4,
        atol=1e-4,
    )


@torch.no_grad()
def test_keys_of_zero_take_a_share_of_the_softmax(chain):
    model, images = model_of(chain, "0>1@prefix:length=4"), torch.randn(2, 3, 32, 32)
    model.adapter(Edge(0, 1)).table.zero_()
    plain = AdaptedModel(chain, Placement(), model.classes)
    plain.head = model.head
    assert (model(images) - plain(images)).abs().max() > 1e-4


@torch.no_grad()
def test_members_with_prefixes_of_several_lengths_and_none_run_side_by_side(chain):
    texts = ("0>1@prefix:length=3", "0>1@prefix:length=5", "0>1@lora:r=2", "0>1+2>3@prefix")
    models = [model_of(chain, text, seed) for seed, text in enumerate(texts)]
    population = Population(models, cohorts=[0] * 4)
    frozen = [{0: torch.randn(size, 17, 96)} for size in (2, 3, 1, 2)]
    logits = population(frozen, members=range(4))
    for model, values, found in zip(models, frozen, logits, strict=True):
        torch.testing.assert_close(found, model.forward_suffix(values), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "shape", "says"),
    [
        ("1>2@prefix", {}, "use an edge that spans attention, such as 0>1"),
        ("0>1@prefix", {"extra_tokens": False}, "rotary or relative positions"),
        ("0>1@prefix:length=0", {}, "length=0 must be a whole number of at least 1"),
        ("0>1@prefix:length=x", {}, "length=x must be a whole number"),
        ("0>1@prefix:r=4", {}, "its options: length"),
    ],
)
def test_a_prefix_that_cannot_be_is_refused_with_a_remedy(text, shape, says):
    with pytest.raises(PlacementError, match=says):
        check_adapters(Placement.parse(text), replace(BackboneShape.plain(96), **shape))
