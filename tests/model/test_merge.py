"""Merged models compute what the trained ones compute, and keep what cannot be folded."""

from __future__ import annotations

import pytest
import torch

from autoplace.adapters import Lora, adapter_class, list_adapters
from autoplace.backbones import create_chain
from autoplace.errors import UserError
from autoplace.model import AdaptedModel, load_adapted, merge_adapters, save_adapted
from autoplace.placement import Edge, Placement, PlacementError

CLASSES = ("a", "b", "c")
ATTENTION, MLP = "2>3+8>9", "3>4+9>10"
MERGEABLE = [
    ("lora:r=2", ATTENTION),
    ("lora:r=2", MLP),
    ("lora:r=2,maps=qkv", ATTENTION),
    ("lora:r=2,maps=ko,alpha=3", ATTENTION),
    ("lora:r=2,maps=ud", MLP),
    ("ssf", f"{ATTENTION}+{MLP}"),
    ("bitfit", f"{ATTENTION}+{MLP}"),
    ("layernorm", f"{ATTENTION}+{MLP}"),
]
# Every way in which timm builds queries, keys and values, norms and MLPs.
FAMILIES = [
    "vit_tiny_patch16_224",
    "vit_base_patch16_rpn_224",
    "vit_relpos_small_patch16_224",
    "vit_giant_patch14_dinov2",
    "vit_small_patch16_dinov3",
    "vit_small_patch16_rope_224",
    "vit_dwee_patch16_reg1_gap_256",
    "beit_base_patch16_224",
    "beit3_base_patch16_224",
    "eva02_tiny_patch14_224",
    "eva02_base_patch16_clip_224",
    "eva02_enormous_patch14_clip_224",
    "aimv2_large_patch14_224",
]


def draw(chain):
    generator = torch.Generator().manual_seed(7)
    return torch.randn(3, *chain.data_config["input_size"], generator=generator)


@torch.no_grad()
def assert_equal_logits(model, merged):
    images = draw(model.chain)
    expected = model(images)
    scale = max(1.0, expected.abs().max().item())
    assert (merged(images) - expected).abs().max() < 1e-5 * scale
    # The adapters do something, so this is no comparison of two frozen chains.
    plain = AdaptedModel(model.chain, Placement(), CLASSES).eval()
    plain.head.load_state_dict(model.head.state_dict())
    assert (plain(images) - expected).abs().max() > 1e-3


@pytest.fixture(scope="module")
def awake(awaken):
    def create(chain, text):
        torch.manual_seed(0)
        return awaken(AdaptedModel(chain, Placement.parse(text), CLASSES)).eval()

    return create


def test_every_mergeable_kind_is_tested_here_or_by_its_own_file():
    own = {"arc"}
    mergeable = {kind for kind in list_adapters() if adapter_class(kind).mergeable}
    assert mergeable - own == {spec.partition(":")[0] for spec, _ in MERGEABLE}


@pytest.mark.parametrize(("spec", "edges"), MERGEABLE)
def test_a_model_of_a_mergeable_kind_becomes_a_plain_backbone(chain, awake, spec, edges):
    model = awake(chain, f"{edges}@{spec}")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    merged = merge_adapters(model)
    assert merged.complete and merged.folded == model.placement.edges
    assert str(merged.model.placement) == "head-only"
    assert_equal_logits(model, merged.model)
    assert merged.model.chain.weights_sha256 != chain.weights_sha256
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(("spec", "edges"), MERGEABLE)
def test_adapters_on_the_stream_are_kept_beside_folded_ones(chain, awake, spec, edges):
    stream = "0>7+5>5+20>4@bottleneck:r=2"
    model = awake(chain, f"{edges}@{spec}+{stream};T=3")
    merged = merge_adapters(model)
    assert not merged.complete
    assert str(merged.model.placement) == str(Placement.parse(f"{stream};T=3"))
    assert_equal_logits(model, merged.model)
    frozen = {0: merged.model.chain.embed(draw(chain))}
    for node in range(1, chain.n_nodes):
        frozen[node] = merged.model.chain.step(node, frozen[node - 1])
    torch.testing.assert_close(
        merged.model.forward_suffix(frozen), model(draw(chain)), rtol=1e-4, atol=1e-4
    )


def test_all_kinds_at_once_leave_only_what_cannot_be_folded(chain, awake):
    parts = ["0>1@lora:r=2", "1>2@ssf", "2>3@bitfit", "4>5@layernorm", "5>6@lora:r=2,maps=ud"]
    kept = ["7>8@adapterbias", "3>12+18>6@bottleneck:r=2"]
    model = awake(chain, "+".join(parts + kept))
    merged = merge_adapters(model)
    assert merged.folded == tuple(Edge.parse(part.partition("@")[0]) for part in parts)
    assert merged.model.placement == Placement.parse("+".join(kept))
    assert_equal_logits(model, merged.model)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kind", ["lora:r=2", "ssf", "bitfit", "layernorm"])
def test_every_family_of_backbones_can_be_merged(small_chain, awake, name, kind):
    chain = small_chain(name)
    has_mlp = kind == "layernorm" or chain.shape.fc1 is not None
    edges = "0>1+1>2+2>3+3>4" if has_mlp else "0>1+2>3"
    model = awake(chain, f"{edges}@{kind}")
    merged = merge_adapters(model)
    assert merged.complete
    assert_equal_logits(model, merged.model)


def test_nothing_to_fold_gives_the_same_model(chain, awake):
    model = awake(chain, "7>8@adapterbias+0>7@bottleneck:r=2")
    merged = merge_adapters(model)
    assert merged.folded == () and merged.difference == 0
    assert merged.model.placement == model.placement
    assert_equal_logits(model, merged.model)


def test_a_saved_model_is_merged_after_loading(awaken, tmp_path):
    placement = Placement.parse("0>1@lora:r=2+1>2@ssf+0>7@bottleneck:r=2")
    model = awaken(AdaptedModel(create_chain(), placement, CLASSES)).eval()
    save_adapted(model, tmp_path, card="# test\n")
    merged = merge_adapters(load_adapted(tmp_path))
    assert merged.folded == (Edge(0, 1), Edge(1, 2))
    assert_equal_logits(model, merged.model)


def test_adapters_that_share_parameters_share_them_after_merging(chain, awake):
    model = awake(chain, "2>3@lora:r=2+0>7+4>9@bottleneck:r=2")
    model.adapters["4>9"] = model.adapters["0>7"]
    adapters = merge_adapters(model).model.adapters
    assert adapters["4>9"] is adapters["0>7"] is not model.adapters["0>7"]


def test_merging_leaves_the_training_mode_and_the_random_state_alone(chain, awake):
    model = awake(chain, "2>3@lora:r=2").train()
    before = torch.get_rng_state()
    merged = merge_adapters(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training and not merged.model.training


def test_an_adapter_that_cannot_be_folded_where_it_is_stays(chain, awake, monkeypatch):
    def fold(self, maps):
        raise PlacementError("not here")

    model = awake(chain, "2>3@lora:r=2+3>4@ssf")
    monkeypatch.setattr(Lora, "fold", fold)
    merged = merge_adapters(model)
    assert merged.folded == (Edge(3, 4),)
    assert str(merged.model.placement) == "2>3@lora:r=2"
    assert_equal_logits(model, merged.model)


def test_a_merge_that_changes_the_logits_is_refused(chain, awake, monkeypatch):
    model = awake(chain, "2>3@lora:r=2")
    monkeypatch.setattr(Lora, "fold", lambda self, maps: None)
    with pytest.raises(UserError, match=r"merging edges 2>3 changes the logits by .*without merg"):
        merge_adapters(model)
