"""Full fine-tuning: the frozen chain at the start, every weight after the embedding."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch.nn import functional

from autoplace.backbones import ResidualChain
from autoplace.backbones._listing import VERIFIED
from autoplace.model import FullTuning, TunedModel, frozen_activations

CLASSES = ("a", "b", "c")
LABELS = torch.tensor([0, 2, 1])
# One of each way to compute queries, keys and values, and to pool: fused and called; fused, but
# only its weight is read; three maps; attention pooling.
VARIANTS = [
    "vit_tiny_patch16_224", "vit_relpos_small_patch16_224", "beit_base_patch16_224",
    "beit3_base_patch16_224", "eva02_tiny_patch14_224", "eva02_base_patch16_clip_224",
    "vit_small_patch16_dinov3", "vit_base_patch16_siglip_224", "aimv2_large_patch14_224",
]  # fmt: skip


def build_small(name: str) -> ResidualChain:
    torch.manual_seed(0)
    size = 64 if "patch16" in name else 56
    model = timm.create_model(name, depth=2, embed_dim=48, num_heads=3, img_size=size)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # layer scales of 1e-5 would hide what a branch does
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return ResidualChain(model, name=name)


@pytest.fixture(scope="module")
def small():
    built = {}

    def get(name):
        if name not in built:
            built[name] = build_small(name)
        return built[name]

    return get


def draw(chain):
    size = chain.data_config["input_size"]
    return torch.randn(3, *size, generator=torch.Generator().manual_seed(1))


def frozen_logits(model, chain, images):
    last = chain.n_nodes - 1
    known = frozen_activations(chain, chain.embed(images), {last})
    return model.head(chain.features(known[last]))


def step(model, images):
    optimiser = torch.optim.SGD(trainable(model), lr=0.1)
    functional.cross_entropy(model(images), LABELS).backward()
    optimiser.step()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_fresh_model_is_the_frozen_chain_bit_for_bit_until_one_step(small, name):
    chain = small(name)
    model, images = TunedModel(chain, CLASSES), draw(chain)
    before = copy.deepcopy(chain.state_dict())
    with torch.no_grad():
        assert torch.equal(model(images), frozen_logits(model, chain, images))
        known = frozen_activations(chain, chain.embed(images), model.frozen_nodes)
        assert torch.equal(model.forward_suffix(known), model(images))
    step(model, images)
    with torch.no_grad():
        assert not torch.equal(model(images), frozen_logits(model, chain, images))
    assert not any(p.requires_grad or p.grad is not None for p in chain.parameters())
    assert all(torch.equal(tensor, before[key]) for key, tensor in chain.state_dict().items())


@pytest.mark.parametrize("name", VERIFIED)
def test_all_that_is_trainable_gets_a_gradient_and_is_counted(small, name):
    chain = small(name)
    model = TunedModel(chain, CLASSES)
    images = draw(chain)
    functional.cross_entropy(model(images), LABELS).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert trained.keys() == model.trainable_state().keys()
    assert not [name for name, p in trained.items() if p.grad is None]
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert all(parameter.grad is None for parameter in frozen)
    counted = sum(p.numel() for name, p in trained.items() if not name.startswith("head."))
    assert counted == FullTuning().count_parameters(chain)


def test_full_fine_tuning_leaves_only_the_embedding_alone(chain):
    model = TunedModel(chain, CLASSES)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {
        "chain.model.cls_token", "chain.model.pos_embed",
        "chain.model.patch_embed.proj.weight", "chain.model.patch_embed.proj.bias",
    }  # fmt: skip


def test_a_trained_state_gives_the_same_model_back(chain, images):
    trained, other = (TunedModel(chain, CLASSES) for _ in range(2))
    step(trained, images)
    other.load_trainable_state(trained.trainable_state())
    with torch.no_grad():
        assert torch.equal(other(images), trained(images))
    with pytest.raises(RuntimeError, match="differ"):
        other.load_trainable_state({})


def trainable(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]
