"""AdapterBias: every token is shifted along one vector, by an amount of its own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from autoplace.adapters import AdapterBias
from autoplace.backbones import create_chain
from autoplace.model import AdaptedModel, frozen_activations
from autoplace.placement import Placement, PlacementError

IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def chain():
    return create_chain("starter")


@pytest.fixture
def model(chain):
    torch.manual_seed(0)
    return AdaptedModel(chain, Placement.parse("23>24@adapterbias"), ("a", "b")).eval()


@torch.no_grad()
def test_the_difference_from_the_frozen_mlp_has_rank_one_along_v(chain, model):
    adapter = model.adapters["23>24"]
    adapter.v.normal_()
    nodes = frozen_activations(chain, chain.embed(IMAGES), {23, 24})
    given = {}
    hook = chain.model.blocks[-1].mlp.fc2.register_forward_pre_hook(
        lambda module, args: given.update(u=args[0])
    )
    chain.step(24, nodes[23])
    hook.remove()
    size = given["u"] @ adapter.w + adapter.beta
    shift = size[..., None] * adapter.v
    assert (torch.linalg.matrix_rank(shift) == 1).all()
    assert size.std() > 0
    # Layer scale and drop path follow; the block adds the shifted output to the stream.
    block = chain.model.blocks[-1]
    expected = model.head(chain.features(nodes[24] + block.ls2(shift)))
    torch.testing.assert_close(model(IMAGES), expected, rtol=1e-5, atol=1e-5)


def test_w_and_beta_get_a_gradient_only_once_v_has_moved(model):
    adapter = model.adapters["23>24"]
    functional.cross_entropy(model(IMAGES), torch.tensor([0, 1, 0])).backward()
    assert adapter.v.grad.abs().max() > 0
    assert adapter.w.grad.abs().max() == adapter.beta.grad.abs().max() == 0


def test_a_gated_mlp_is_served_too(small_chain):
    chain = small_chain("aimv2_large_patch14_224")
    model = AdaptedModel(chain, Placement.parse("1>2@adapterbias"), ("a", "b")).eval()
    images = torch.randn(2, *chain.data_config["input_size"])
    before = model(images).detach()
    model.adapters["1>2"].v.data.fill_(1.0)
    assert (model(images) - before).abs().max() > 0


def test_an_attention_edge_is_refused_with_a_hint(chain):
    with pytest.raises(PlacementError, match=r"2>3 spans an attention.*such as 3>4"):
        AdaptedModel(chain, Placement.parse("2>3@adapterbias"), ("a", "b"))


def test_only_the_norm_in_front_of_the_mlp_can_be_trained_with_it(chain):
    with pytest.raises(PlacementError, match="train_ln=norm1 must be none or norm2"):
        AdapterBias.Config(train_ln="norm1")
    names = dict(
        AdaptedModel(chain, Placement.parse("3>4@adapterbias:train_ln=norm2"), ("a", "b"))
        .adapters["3>4"]
        .named_parameters()
    )
    assert {"norm_weight", "norm_bias"} <= set(names)
