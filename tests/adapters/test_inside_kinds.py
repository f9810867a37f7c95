"""What the kinds inside a sub-layer compute, on every way in which timm builds a block."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from autoplace.backbones import create_chain
from autoplace.model import AdaptedModel
from autoplace.placement import Placement, PlacementError

CLASSES = ("a", "b", "c")
KINDS = ["lora:r=2", "ssf", "bitfit", "layernorm"]
# One map to queries, keys and values, without a bias, with one kept apart, three maps; RMSNorm.
FAMILIES = [
    "vit_base_patch16_rpn_224",
    "vit_small_patch16_dinov3",
    "beit_base_patch16_224",
    "eva02_base_patch16_clip_224",
    "aimv2_large_patch14_224",
]


def create(chain, text, seed=0):
    torch.manual_seed(seed)
    return AdaptedModel(chain, Placement.parse(text), CLASSES).eval()


def draw(chain):
    generator = torch.Generator().manual_seed(7)
    return torch.randn(3, *chain.data_config["input_size"], generator=generator)


def plain_logits(model):
    plain = AdaptedModel(model.chain, Placement(), CLASSES).eval()
    plain.head.load_state_dict(model.head.state_dict())
    return plain(draw(model.chain))


def text_on(chain, kind):
    has_mlp = kind == "layernorm" or chain.shape.fc1 is not None
    return ("0>1+1>2+2>3+3>4" if has_mlp else "0>1+2>3") + f"@{kind}"


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_adapter_changes_no_family_of_backbones(small_chain, name, kind):
    chain = small_chain(name)
    model = create(chain, text_on(chain, kind))
    with torch.no_grad():
        if kind == "ssf":
            for adapter in model.adapters.values():
                for gamma, beta in zip(adapter.gamma.values(), adapter.beta.values(), strict=True):
                    gamma.fill_(1.0)
                    beta.zero_()
        torch.testing.assert_close(model(draw(chain)), plain_logits(model), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_tensor_in_every_family(small_chain, name, kind):
    chain = small_chain(name)
    model = create(chain, text_on(chain, kind))
    with torch.no_grad():
        for parameter in model.adapters.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    functional.cross_entropy(model(draw(chain)), torch.tensor([0, 1, 2])).backward()
    for tensor_name, parameter in model.adapters.named_parameters():
        assert parameter.grad.abs().max() > 0, tensor_name


@pytest.mark.parametrize("kind", ["lora:r=2", "ssf", "bitfit"])
def test_an_mlp_without_the_map_that_a_kind_needs_is_refused(small_chain, kind):
    chain = small_chain("aimv2_large_patch14_224")
    with pytest.raises(PlacementError, match="no linear map fc1"):
        create(chain, f"1>2@{kind}")


@torch.no_grad()
def test_ssf_with_scales_of_one_and_no_shifts_is_the_frozen_backbone_bit_for_bit():
    model = create(create_chain("starter"), "2>3+3>4@ssf")
    for name, parameter in model.adapters.named_parameters():
        parameter.fill_(1.0 if ".gamma." in name else 0.0)
    assert torch.equal(model(draw(model.chain)), plain_logits(model))


def test_ssf_starts_near_one_and_near_zero():
    adapters = create(create_chain("starter"), "2>3+3>4@ssf").adapters
    named = dict(adapters.named_parameters())
    gamma = torch.cat([p for name, p in named.items() if ".gamma." in name])
    beta = torch.cat([p for name, p in named.items() if ".beta." in name])
    assert abs(gamma.mean() - 1) < 0.005 and abs(beta.mean()) < 0.005
    assert 0.018 < gamma.std() < 0.022 and 0.018 < beta.std() < 0.022


@pytest.mark.parametrize("kind", ["ssf", "bitfit", "layernorm"])
@torch.no_grad()
def test_these_kinds_do_what_changed_parameters_of_timms_modules_do(kind):
    """Written out on a copy of the backbone, sharing no code with adapters or merging."""
    chain = create_chain("starter")
    model = create(chain, f"2>3+3>4@{kind}")
    for parameter in model.adapters.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    changed = AdaptedModel(copy.deepcopy(chain), Placement(), CLASSES).eval()
    changed.head.load_state_dict(model.head.state_dict())
    block = changed.chain.model.blocks[1]
    modules = {
        "2>3": {"norm": block.norm1, "qkv": block.attn.qkv, "o": block.attn.proj},
        "3>4": {"norm": block.norm2, "fc1": block.mlp.fc1, "fc2": block.mlp.fc2},
    }
    for edge, of_edge in modules.items():
        adapter = model.adapters[edge]
        for site, module in of_edge.items():
            if kind == "ssf":
                gamma = adapter.gamma[site]
                module.weight *= gamma if site == "norm" else gamma[:, None]
                module.bias.mul_(gamma).add_(adapter.beta[site])
            elif kind == "bitfit":
                module.bias += adapter.bias[site]
            elif site == "norm":
                module.weight += adapter.weight
                module.bias += adapter.bias
    images = draw(chain)
    torch.testing.assert_close(model(images), changed(images), rtol=1e-5, atol=1e-5)
    assert (model(images) - plain_logits(model)).abs().max() > 1e-2
