"""One body of tests over every verified timm variant, made small, with random weights."""

from __future__ import annotations

from fnmatch import fnmatch
from itertools import pairwise

import pytest
import timm
import torch
from timm.layers import LayerScale

from autoplace.backbones import ResidualChain
from autoplace.backbones._listing import VERIFIED

SMALL = {"depth": 2, "embed_dim": 48, "num_heads": 3, "img_size": 56}


def build_small(name: str) -> torch.nn.Module:
    """A two-block model of the variant's architecture, every part of it doing something."""
    size = {"img_size": 64} if "patch16" in name or name == "flexivit_small" else {}
    torch.manual_seed(0)
    model = timm.create_model(name, **{**SMALL, **size})
    # Layer scales of 1e-5 and zero biases would hide a branch or a term that was left out.
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return model.eval()


@pytest.fixture(scope="module")
def built():
    """The chain and an untouched model of a variant, built once."""
    cache = {}

    def get(name):
        if name not in cache:
            cache[name] = (ResidualChain(build_small(name), name=name), build_small(name))
        return cache[name]

    return get


def draw_images(chain, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, *chain.data_config["input_size"], generator=generator)


@torch.no_grad()
def run_nodes(chain, images):
    nodes = [chain.embed(images)]
    for k in range(1, chain.n_nodes):
        nodes.append(chain.step(k, nodes[-1]))
    return nodes


def test_the_sweep_spans_at_least_fifteen_variants_of_every_kind():
    kinds = (
        "*_gap_* *_reg4_* *_dinov2 *_giant_* *_dinov3 *_rope_mixed_* eva02_* *_distilled_* beit_*"
    )
    kinds += " deit3_* *_siglip_* *_clip_* *_rpn_* *_relpos_* *_srelpos_*"
    assert len(VERIFIED) >= 15
    for kind in kinds.split():
        assert any(fnmatch(name, kind) for name in VERIFIED), kind


@pytest.mark.parametrize("name", VERIFIED)
def test_the_chain_reproduces_timms_own_output(name, built):
    chain, model = built(name)
    for batch in (1, 3):
        images = draw_images(chain, batch)
        with torch.no_grad():
            expected = model(images)
            pooled = model.forward_head(model.forward_features(images), pre_logits=True)
        last = run_nodes(chain, images)[-1]
        scale = max(1.0, expected.abs().max().item())
        assert (chain.readout(last) - expected).abs().max() < 1e-5 * scale
        assert torch.equal(chain(images), chain.readout(last))
        assert chain.features(last).shape == (batch, chain.num_features)
        assert (chain.features(last) - pooled).abs().max() < 1e-5 * max(1, pooled.abs().max())


@pytest.mark.parametrize("name", VERIFIED)
def test_nodes_are_block_outputs_and_every_step_changes_the_stream(name, built):
    chain, model = built(name)
    images = draw_images(chain)
    outputs = []
    handles = [
        block.register_forward_hook(lambda module, args, output: outputs.append(output))
        for block in model.blocks
    ]
    with torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    nodes = run_nodes(chain, images)
    assert len(nodes) == chain.n_nodes == 2 * len(model.blocks) + 1
    for b, output in enumerate(outputs):
        assert nodes[2 * b + 2].shape == output.shape == (2, output.shape[1], chain.dim)
        torch.testing.assert_close(nodes[2 * b + 2], output, rtol=1e-5, atol=1e-5)
    assert not any(torch.equal(a, b) for a, b in pairwise(nodes))


@pytest.mark.parametrize("name", VERIFIED)
def test_the_same_images_give_the_same_bits(name, built):
    chain, _ = built(name)
    images = draw_images(chain)
    for once, again in zip(run_nodes(chain, images), run_nodes(chain, images), strict=True):
        assert torch.equal(once, again)


@pytest.mark.parametrize("name", VERIFIED)
def test_gradients_flow_through_every_step_and_reach_no_weight(name, built):
    chain, _ = built(name)
    h = chain.embed(draw_images(chain)).detach().requires_grad_()
    stream, sources = h, []
    for k in range(1, chain.n_nodes):
        stream = chain.step(k, stream)
        stream.retain_grad()
        sources.append(stream)
    chain.features(stream).square().sum().backward()
    assert all(node.grad is not None and node.grad.isfinite().all() for node in [h, *sources])
    assert h.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in chain.parameters())


def test_layer_scale_is_part_of_the_step():
    chain = ResidualChain(build_small("vit_small_patch14_dinov2"), name="dinov2")
    scale = chain.model.blocks[0].ls1
    assert isinstance(scale, LayerScale)
    h = chain.embed(draw_images(chain))
    torch.nn.init.zeros_(scale.gamma)
    assert torch.equal(chain.step(1, h), h)
