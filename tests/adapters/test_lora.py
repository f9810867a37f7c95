"""LoRA on the queries, keys and values of every block is PEFT's LoRA."""

from __future__ import annotations

import peft
import pytest
import torch
from torch.nn import functional

from autoplace.backbones import create_chain
from autoplace.model import AdaptedModel
from autoplace.placement import AdapterSpec, Placement
from autoplace.placement.generators import every_block

CLASSES = ("a", "b", "c")
LABELS = torch.tensor([0, 2, 1])


@pytest.fixture(scope="module")
def chain():
    return create_chain("starter")


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def lora(rank):
    """On the fused map to queries, keys and values of every block."""
    return Placement.of(every_block(25)[0::2], AdapterSpec.of("lora", r=rank, maps="qkv"))


def peft_model(rank):
    """PEFT's LoRA around timm's own model, whose classifier is the head."""
    model = create_chain("starter").model
    model.reset_classifier(len(CLASSES))
    config = peft.LoraConfig(target_modules=["qkv"], r=rank, modules_to_save=["head"])
    return peft.get_peft_model(model, config)


def trainable(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@pytest.fixture(params=[2, 6], ids="r={}".format)
def pair(request):
    """Our model and PEFT's with equal factors, none of them zero, and equal heads."""
    ours = AdaptedModel(create_chain("starter"), lora(request.param), CLASSES)
    theirs = peft_model(request.param)
    generator = torch.Generator().manual_seed(0)
    # Both list A and B of each block in turn, then the head.
    for mine, yours in zip(trainable(ours), trainable(theirs), strict=True):
        mine.data = torch.randn(mine.shape, generator=generator) * 0.1
        yours.data = mine.data.clone()
    return ours, theirs


def test_lora_has_the_logits_and_gradients_of_peft(pair, images):
    ours, theirs = pair
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-5)
    for model in pair:
        functional.cross_entropy(model(images), LABELS).backward()
    for mine, yours in zip(trainable(ours), trainable(theirs), strict=True):
        torch.testing.assert_close(mine.grad, yours.grad, rtol=1e-3, atol=1e-5)


def test_lora_trains_as_peft_does(pair, images):
    losses = []
    for model in pair:
        optimiser = torch.optim.AdamW(trainable(model), lr=1e-3)
        losses.append([])
        for _ in range(20):
            optimiser.zero_grad()
            loss = functional.cross_entropy(model(images), LABELS)
            loss.backward()
            optimiser.step()
            losses[-1].append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][-1] < 0.5 * losses[0][0]


def test_factors_start_as_pefts_do(chain):
    ours = trainable(AdaptedModel(chain, lora(2), CLASSES))[:-2]
    theirs = trainable(peft_model(2))[:-2]
    bound = 96**-0.5  # of the Kaiming uniform distribution with a = sqrt(5)
    for tensors in (ours, theirs):
        values = torch.cat([factor.detach().flatten() for factor in tensors[0::2]]).abs()
        assert 0.98 * bound < values.max() <= bound
        assert values.mean() == pytest.approx(bound / 2, rel=0.1)
        assert not any(factor.any() for factor in tensors[1::2])


@torch.no_grad()
def test_what_is_not_among_the_maps_is_unchanged_and_changes_have_at_most_the_rank(chain):
    adapter = AdaptedModel(chain, Placement.parse("2>3@lora:r=2"), CLASSES).adapters["2>3"]
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter)
    given, output = torch.randn(40, 17, 96), torch.randn(40, 17, 288)
    change = adapter(adapter.sites[0], given, output) - output
    queries, keys, values = change.flatten(0, 1).split(96, dim=-1)
    assert not keys.any()
    assert torch.linalg.matrix_rank(queries) == torch.linalg.matrix_rank(values) == 2
