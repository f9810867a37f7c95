"""UniPELT: three gated parts, the counts of each, and what a closed gate does."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from autoplace.adapters import ParameterBudget, Unipelt, check_adapters
from autoplace.backbones import BackboneShape, create_chain
from autoplace.model import AdaptedModel
from autoplace.placement import AdapterSpec, Edge, Placement, PlacementError

VIT_B = BackboneShape.plain(768, heads=12)
EDGES = Edge(0, 1), Edge(1, 2)


@pytest.fixture(scope="module")
def chain():
    return create_chain("starter")


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def model_of(chain, text, seed=0):
    torch.manual_seed(seed)
    return AdaptedModel(chain, Placement.parse(text), ("a", "b", "c")).eval()


def plain(model):
    """The frozen chain with the head of a model."""
    other = AdaptedModel(model.chain, Placement(), model.classes).eval()
    other.head = model.head
    return other


def parts_of(edges):
    """Parameters of LoRA, prefix, bottleneck and gates in twelve blocks."""
    counts = dict.fromkeys(("lora", "prefix", "adapter", "gates"), 0)
    for edge in edges:
        for name, parameter in Unipelt(Unipelt.Config(), VIT_B, edge).named_parameters():
            head = name.partition(".")[0]
            part = {"table": "prefix", "down": "adapter", "up": "adapter"}.get(head, "lora")
            counts["gates" if head.startswith("gate") else part] += 12 * parameter.numel()
    return counts


def test_each_part_has_its_published_count_and_a_block_four_gates():
    counts = parts_of(EDGES)
    assert counts == {"lora": 294_912, "prefix": 184_320, "adapter": 894_528, "gates": 36_912}
    assert counts["gates"] == 12 * 4 * 769


@pytest.mark.parametrize(("edge", "names"), [(0, ["q", "v", "prefix"]), (1, ["adapter"])])
def test_a_gate_is_a_number_between_0_and_1_for_each_image(edge, names):
    adapter = Unipelt(Unipelt.Config(), VIT_B, EDGES[edge])
    stacked = {name: parameter[None] for name, parameter in adapter.named_parameters()}
    for name in names:
        gates = adapter.gate(stacked, f"gate_{name}", 5 * torch.randn(1, 3, 7, 768))
        assert gates.shape == (1, 3, 1, 1)
        assert ((gates > 0) & (gates < 1)).all()
        assert len(gates.unique()) == 3


@torch.no_grad()
def test_a_central_gate_divides_one_between_lora_and_the_prefix():
    adapter = Unipelt(Unipelt.Config(gate="central"), VIT_B, EDGES[0])
    stacked = {name: parameter[None] for name, parameter in adapter.named_parameters()}
    seen = 5 * torch.randn(1, 3, 7, 768)
    query, value, prefix = (adapter.gate(stacked, f"gate_{n}", seen) for n in ("q", "v", "prefix"))
    assert torch.equal(query, value)
    torch.testing.assert_close(query + prefix, torch.ones(1, 3, 1, 1))
    linear = adapter.gate_central
    expected = torch.relu(linear(seen[0])).mean(1).softmax(-1)
    torch.testing.assert_close(torch.cat([query, prefix], -1)[0, :, 0], expected)
    mlp = Unipelt(Unipelt.Config(gate="central"), VIT_B, EDGES[1])
    assert [n for n, _ in mlp.named_children() if n.startswith("gate")] == ["gate_adapter"]


@pytest.mark.parametrize("name", ["gate_q", "gate_v", "gate_adapter"])
@torch.no_grad()
def test_a_closed_gate_leaves_its_part_out(chain, images, name):
    model = model_of(chain, "0>1+1>2@unipelt:length=0")
    for adapter in model.adapters.values():
        for parameter in adapter.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    by_name = dict(model.adapters.named_parameters())
    others = {"gate_q": "q_b", "gate_v": "v_b", "gate_adapter": "up"}
    edge = "1>2" if name == "gate_adapter" else "0>1"
    before = model(images)
    by_name[f"{edge}.{name}.weight"].zero_()
    by_name[f"{edge}.{name}.bias"].fill_(-100)
    closed = model(images)
    for suffix in ("weight", "bias"):
        if (part := by_name.get(f"{edge}.{others[name]}.{suffix}")) is not None:
            part.zero_()
    assert (closed - before).abs().max() > 0
    torch.testing.assert_close(closed, model(images))


@torch.no_grad()
def test_a_closed_gate_does_not_undo_a_prefix(chain, images):
    model = model_of(chain, "0>1@unipelt:length=4")
    gate = model.adapter(Edge(0, 1)).gate_prefix
    gate.weight.zero_()
    gate.bias.fill_(-100)
    assert (model(images) - plain(model)(images)).abs().max() > 1e-4


@torch.no_grad()
def test_without_prefix_and_with_up_projections_at_zero_nothing_changes(chain, images):
    model = model_of(chain, "0>1+1>2+2>3+3>4@unipelt:length=0")
    for target in (2, 4):
        model.adapter(Edge(target - 1, target)).up.weight.zero_()
    assert torch.equal(model(images), plain(model)(images))


def test_a_budget_sets_the_rank_of_lora_only():
    budget = ParameterBudget(AdapterSpec("unipelt"), BackboneShape.plain(96), 6000)
    assert str(budget.fit(EDGES)) == "0>1+1>2@unipelt:r=6"
    assert str(budget.fit(EDGES[1:])) == "1>2@unipelt:r=1"
    assert budget.fit([*EDGES, Edge(2, 3), Edge(3, 4)]) is None


@pytest.mark.parametrize(
    ("text", "shape", "says"),
    [
        ("0>1@unipelt", {"extra_tokens": False}, "leave the prefix out with length=0"),
        ("1>2@unipelt", {"fc2": None}, "no linear map fc2"),
        ("0>1@unipelt:length=-1", {}, "at least 0"),
        ("0>1@unipelt:r_adapter=none", {}, "r_adapter=none must be auto or a whole number"),
        ("0>1@unipelt:maps=q", {}, "must be qv or qk"),
        ("0>1@unipelt:gate=both", {}, "must be own or central"),
        ("0>1@unipelt:gate=central,length=0", {}, "needs a prefix"),
        ("0>5@unipelt", {}, "cannot serve"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(text, shape, says):
    with pytest.raises(PlacementError, match=says):
        check_adapters(Placement.parse(text), replace(BackboneShape.plain(96), **shape))


def test_attention_with_positions_takes_all_but_the_prefix():
    shape = replace(BackboneShape.plain(96), extra_tokens=False)
    check_adapters(Placement.parse("0>1+1>2@unipelt:length=0"), shape)
