"""LoRA and full fine-tuning: the frozen chain at the start, PEFT's results after training."""

from __future__ import annotations

import copy

import peft
import pytest
import timm
import torch
from torch.nn import functional

from autoplace.backbones import ResidualChain, create_chain
from autoplace.backbones._listing import VERIFIED
from autoplace.model import TunedModel, Tuning, frozen_activations

CLASSES = ("a", "b", "c")
LABELS = torch.tensor([0, 2, 1])
TUNINGS = [Tuning("lora", 2), Tuning("full")]
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


@pytest.mark.parametrize("tuning", TUNINGS, ids=str)
@pytest.mark.parametrize("name", VARIANTS)
def test_a_fresh_model_is_the_frozen_chain_bit_for_bit_until_one_step(small, name, tuning):
    chain = small(name)
    model, images = TunedModel(chain, tuning, CLASSES), draw(chain)
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


@pytest.mark.parametrize("tuning", TUNINGS, ids=str)
@pytest.mark.parametrize("name", VERIFIED)
def test_all_that_is_trainable_gets_a_gradient_and_is_counted(small, name, tuning):
    chain = small(name)
    model = TunedModel(chain, tuning, CLASSES)
    images = draw(chain)
    step(model, images)  # LoRA's first factor has a zero gradient while the second is zero
    model.zero_grad()
    functional.cross_entropy(model(images), LABELS).backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert trained.keys() == model.trainable_state().keys()
    assert not [name for name, p in trained.items() if p.grad is None]
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert all(parameter.grad is None for parameter in frozen)
    counted = sum(p.numel() for name, p in trained.items() if not name.startswith("head."))
    assert counted == tuning.count_parameters(chain)


def test_lora_trains_two_factors_in_each_block_and_the_head(chain):
    state = TunedModel(chain, Tuning("lora", 2), CLASSES).trainable_state()
    shapes = [tuple(tensor.shape) for name, tensor in state.items() if "qkv" in name]
    assert sorted(shapes) == sorted([(2, 96), (288, 2)] * 12)
    assert {name for name in state if "qkv" not in name} == {"head.weight", "head.bias"}


def test_full_fine_tuning_leaves_only_the_embedding_alone(chain):
    model = TunedModel(chain, Tuning("full"), CLASSES)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {
        "chain.model.cls_token", "chain.model.pos_embed",
        "chain.model.patch_embed.proj.weight", "chain.model.patch_embed.proj.bias",
    }  # fmt: skip


@pytest.mark.parametrize("tuning", TUNINGS, ids=str)
def test_a_trained_state_gives_the_same_model_back(chain, images, tuning):
    trained, other = (TunedModel(chain, tuning, CLASSES) for _ in range(2))
    step(trained, images)
    other.load_trainable_state(trained.trainable_state())
    with torch.no_grad():
        assert torch.equal(other(images), trained(images))
    with pytest.raises(RuntimeError, match="differ"):
        other.load_trainable_state({})


@pytest.mark.parametrize(
    ("parameters", "rank"), [(4607, None), (4608, 1), (9264, 2), (13823, 2), (10**9, 96)]
)
def test_lora_has_the_highest_rank_that_the_number_of_parameters_allows(chain, parameters, rank):
    tuning = Tuning.lora_within(chain, parameters)
    assert (tuning and tuning.rank) == rank


@pytest.mark.parametrize(("method", "rank"), [("lora", None), ("lora", 0), ("full", 2)])
def test_a_rank_that_the_method_cannot_have_is_refused(method, rank):
    with pytest.raises(ValueError, match="rank"):
        Tuning(method, rank)


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
    ours = TunedModel(create_chain("starter"), Tuning("lora", request.param), CLASSES)
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
    ours = trainable(TunedModel(chain, Tuning("lora", 2), CLASSES))[:-2]
    theirs = trainable(peft_model(2))[:-2]
    bound = 96**-0.5  # of the Kaiming uniform distribution with a = sqrt(5)
    for tensors in (ours, theirs):
        values = torch.cat([factor.detach().flatten() for factor in tensors[0::2]]).abs()
        assert 0.98 * bound < values.max() <= bound
        assert values.mean() == pytest.approx(bound / 2, rel=0.1)
        assert not any(factor.any() for factor in tensors[1::2])
