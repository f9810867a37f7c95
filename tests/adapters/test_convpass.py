"""Convpass: a convolution on the grid of tokens, with prefix tokens as images of one pixel."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from autoplace.adapters import Convpass, check_adapters, create_adapter
from autoplace.backbones import BackboneShape
from autoplace.placement import AdapterSpec, Edge, Placement, PlacementError

ROWS, COLUMNS, PREFIX, DIM = 4, 5, 2, 12
SHAPE = replace(BackboneShape.plain(DIM, grid=(ROWS, COLUMNS)), prefix_tokens=PREFIX)


def new(text="convpass:r=3", shape=SHAPE):
    torch.manual_seed(0)
    return create_adapter(AdapterSpec.parse(text), Edge(1, 2), shape)


def awake(text="convpass:r=3", shape=SHAPE):
    adapter = new(text, shape)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return adapter


@pytest.fixture
def hidden():
    return torch.randn(2, PREFIX + ROWS * COLUMNS, DIM, generator=torch.Generator().manual_seed(1))


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


@torch.no_grad()
def test_patches_are_convolved_as_an_image_and_prefix_tokens_as_images_of_one_pixel(hidden):
    adapter = awake("convpass:r=3,scale=10")
    narrow = quick_gelu(adapter.down(functional.layer_norm(hidden, (DIM,))))
    image = narrow[:, PREFIX:].mT.reshape(2, 3, ROWS, COLUMNS)
    mixed = [adapter.conv(narrow[:, token, :, None, None]).flatten(2) for token in range(PREFIX)]
    mixed = torch.cat([*mixed, adapter.conv(image).flatten(2)], dim=2).mT
    torch.testing.assert_close(adapter(hidden), 10 * adapter.up(quick_gelu(mixed)))


@torch.no_grad()
def test_a_patch_affects_only_its_neighbours_and_a_prefix_token_only_itself(hidden):
    adapter = awake()
    before = adapter(hidden)
    for token in range(hidden.shape[1]):
        changed = hidden.clone()
        changed[:, token] = torch.randn(DIM)
        differs = (adapter(changed) - before).abs().amax(dim=(0, 2)) > 1e-6
        expected = torch.zeros_like(differs)
        if token < PREFIX:
            expected[token] = True
        else:
            row, column = divmod(token - PREFIX, COLUMNS)
            square = expected[PREFIX:].view(ROWS, COLUMNS)
            square[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = True
        assert torch.equal(differs, expected), token


@torch.no_grad()
def test_several_adapters_together_compute_what_each_computes_alone(hidden):
    torch.manual_seed(3)
    adapters = [awake(), awake(), new()]
    stacked = {
        name: torch.stack([dict(adapter.named_parameters())[name] for adapter in adapters])
        for name, _ in adapters[0].named_parameters()
    }
    inputs = torch.stack([hidden, hidden.flip(0), -hidden])
    found = adapters[0].together(stacked, inputs)
    for adapter, given, each in zip(adapters, inputs, found, strict=True):
        torch.testing.assert_close(each, adapter(given))


@torch.no_grad()
def test_a_convolution_that_starts_as_the_identity_passes_tokens_on_as_they_are(hidden):
    adapter = new("convpass:conv=identity,r=3")
    adapter.up.weight.normal_()
    narrow = quick_gelu(adapter.down(functional.layer_norm(hidden, (DIM,))))
    torch.testing.assert_close(adapter(hidden), adapter.up(quick_gelu(narrow)))


@torch.no_grad()
def test_images_without_prefix_tokens_are_served():
    adapter = awake(shape=replace(SHAPE, prefix_tokens=0))
    assert adapter(torch.randn(2, ROWS * COLUMNS, DIM)).isfinite().all()


def test_a_grid_that_is_not_a_rectangle_is_refused():
    placement, shape = Placement.parse("1>2@convpass:r=3"), replace(SHAPE, grid=None)
    with pytest.raises(PlacementError, match="token grid that is not a rectangle"):
        check_adapters(placement, shape)


@pytest.mark.parametrize("text", ["convpass:conv=zero", "convpass:scale=-1", "convpass:r=0"])
def test_options_out_of_range_are_refused(text):
    with pytest.raises(PlacementError, match="must be"):
        check_adapters(Placement.parse(f"1>2@{text}"))


def test_parameters_grow_with_the_square_of_the_rank():
    counts = [Convpass.parameters_at(Convpass.Config(r=r), SHAPE, Edge(0, 1)) for r in (1, 2, 3)]
    assert counts[2] - 2 * counts[1] + counts[0] == 18
