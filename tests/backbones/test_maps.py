"""Maps that are read are what the backbone computes with, and those put into a copy as well."""

from __future__ import annotations

import pytest
import torch

from autoplace.backbones import (
    BackboneError,
    Changes,
    LinearMap,
    OpenChain,
    Site,
    SubLayer,
    read_maps,
    replace_maps,
)

# One map to queries, keys and values; with a bias kept apart; three maps; RMSNorm without biases.
FAMILIES = [
    "vit_tiny_patch16_224",
    "beit_base_patch16_224",
    "eva02_base_patch16_clip_224",
    "aimv2_large_patch14_224",
]
each_family = pytest.mark.parametrize("name", FAMILIES)


def stream(chain):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, chain.tokens, chain.dim, generator=generator)


@each_family
@pytest.mark.parametrize("k", [1, 2, 3])
@torch.no_grad()
def test_a_map_computes_what_its_site_gives(small_chain, name, k):
    chain, seen = small_chain(name), {}

    def watch(site, given, output):
        seen[site] = given, output
        return output

    maps = read_maps(chain, k)
    OpenChain(chain).step(k, stream(chain), Changes(tuple(maps), watch))
    assert set(seen) == set(maps)
    for site, (given, output) in seen.items():
        weight, bias = maps[site].weight, maps[site].bias
        expected = given * weight if site is Site.NORM else given @ weight.T
        if bias is not None:
            expected = expected + bias
        torch.testing.assert_close(expected, output, rtol=1e-4, atol=1e-4)


@each_family
@torch.no_grad()
def test_replaced_maps_are_read_back_also_from_a_copy_of_a_copy(small_chain, name):
    chain = small_chain(name)
    before, hidden = chain.weights_sha256, stream(chain)
    for _ in range(2):
        new = {
            k: {
                site: LinearMap(2 * old.weight, torch.randn(len(old.weight)))
                for site, old in read_maps(chain, k).items()
            }
            for k in range(1, chain.n_nodes)
        }
        chain = replace_maps(chain, new)
        for k, maps in new.items():
            found = read_maps(chain, k)
            assert set(found) == set(maps)
            for site, expected in maps.items():
                assert torch.equal(found[site].weight, expected.weight)
                assert torch.equal(found[site].bias, expected.bias)
    original = small_chain(name)
    assert chain.weights_sha256 != before == original.weights_sha256
    assert not torch.equal(chain.step(1, hidden), original.step(1, hidden))


@each_family
@torch.no_grad()
def test_maps_put_back_as_they_were_change_nothing(small_chain, name):
    chain = small_chain(name)
    again = replace_maps(chain, {k: read_maps(chain, k) for k in range(1, chain.n_nodes)})
    images = torch.randn(2, *chain.data_config["input_size"])
    torch.testing.assert_close(again(images), chain(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("vit_tiny_patch16_224", {SubLayer.ATTENTION: Site.QKV, SubLayer.MLP: Site.FC1}),
        # A gated MLP reads the norm twice; in a post-norm block, the stream comes after it.
        ("aimv2_large_patch14_224", {SubLayer.ATTENTION: Site.QKV, SubLayer.MLP: None}),
        ("vit_base_patch16_rpn_224", {SubLayer.ATTENTION: None, SubLayer.MLP: None}),
    ],
)
def test_it_is_known_which_map_alone_reads_the_norm(small_chain, name, after):
    found = {SubLayer.before(k): read_maps(small_chain(name), k).after_norm for k in (1, 2)}
    assert found == after


def test_a_map_that_a_sub_layer_lacks_is_named(small_chain):
    maps = read_maps(small_chain("aimv2_large_patch14_224"), 2)
    with pytest.raises(BackboneError, match="no map 'fc1'"):
        maps[Site.FC1]
