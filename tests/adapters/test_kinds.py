"""One body of tests over every registered adapter kind, on a real backbone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.nn import functional

from autoplace.adapters import (
    SubLayerAdapter,
    adapter_class,
    changed_maps,
    check_adapters,
    count_parameters,
    create_adapter,
    inserts_tokens,
    list_adapters,
)
from autoplace.backbones import BackboneShape, Site, create_chain
from autoplace.model import (
    AdaptedModel,
    Population,
    frozen_activations,
    load_adapted,
    save_adapted,
)
from autoplace.placement import AdapterSpec, Edge, EdgeKind, Placement, PlacementError

CLASSES = ("a", "b", "c")
LABELS = torch.tensor([0, 2, 1, 0])
VIT_B = BackboneShape.plain(768, heads=12)
BY_KIND = {
    EdgeKind.SEQUENTIAL: (Edge(4, 4), Edge(7, 7)),
    EdgeKind.PARALLEL: (Edge(2, 3), Edge(3, 4), Edge(9, 10), Edge(10, 11)),
    EdgeKind.LONG_RANGE: (Edge(1, 5), Edge(3, 8)),
    EdgeKind.RECURRENT: (Edge(9, 2), Edge(20, 7)),
}
# Options that change the formula, besides each kind's defaults.
VARIANTS = [
    "bottleneck:act=rational,r=2",
    "bottleneck:act=relu,drop=0.5,r=2,scale=4",
    "adaptformer:dropout=0.5,r=2",
    "convpass:conv=identity,r=2,scale=10",
    "tiny-attention:a=4,heads=2",
    "lora:r=2,maps=qkv@attention",
    "lora:r=2,maps=ko@attention",
    "lora:r=2,maps=ud@mlp",
    "prefix:length=3@attention",
    "prompt:length=3",
    "arc:r=3",
    "unipelt:length=0,maps=qk,r=2",
    "unipelt:length=3,r=2,r_adapter=3",
    "unipelt:gate=central,length=3,r=2",
    "adapterbias@mlp",
    "adapterbias:train_ln=norm2@mlp",
]
# Kinds that are not the identity at the start, with a bound on the change of the logits.
NOT_IDENTITY: dict[str, float] = {
    "adapter-plus": 1e-2,
    "arc": 1.0,
    "prefix": 1.0,
    "prompt": 2.0,
    "ssf": 0.2,
    "tiny-attention": 1e-2,
    "unipelt": 1.0,
}
# Trainable parameters in ViT-B/16 (section 11 of the specification) of text on these edges.
ATTENTION = [Edge(2 * b, 2 * b + 1) for b in range(12)]
MLP = [Edge(2 * b + 1, 2 * b + 2) for b in range(12)]
AFTER_ATTENTION = [Edge(2 * b + 1, 2 * b + 1) for b in range(12)]
BLOCK_ENDS = [Edge(2 * b + 2, 2 * b + 2) for b in range(12)]
COUNTS = [
    ("lora:r=8", ATTENTION, 294_912),
    ("adapter-plus:r=8", BLOCK_ENDS, 165_984),
    ("tiny-attention", AFTER_ATTENTION, 64_644),
    ("convpass:r=8", ATTENTION + MLP, 327_552),
    ("convpass:r=8", ATTENTION, 163_776),
    ("adaptformer:r=8", MLP, 156_768),
    ("adaptformer:r=64", MLP, 1_189_632),
    ("prefix", ATTENTION, 184_320),
    ("unipelt", ATTENTION + MLP, 1_410_672),
    ("arc", ATTENTION + MLP, 96_432),
    ("arc", ATTENTION, 48_216),
    ("prompt", [Edge(0, 0)], 7_680),
    # The published 205,824 without the scales and shifts (4 dim) outside the blocks.
    ("ssf", ATTENTION + MLP, 205_824 - 4 * 768),
    ("bitfit", ATTENTION + MLP, 12 * 11 * 768),
    ("layernorm", ATTENTION + MLP, 12 * 4 * 768),
    ("adapterbias", MLP, 46_092),
    ("adapterbias:train_ln=norm2", MLP, 64_524),
]


def placements(name):
    """A placement for every kind of edge that a kind with some options can be on."""
    spec, _, sublayer = name.partition("@")
    if inserts_tokens(AdapterSpec.parse(spec)):
        yield Placement.parse(f"0>0@{spec}")
        return
    for kind, edges in BY_KIND.items():
        if sublayer:
            edges = [e for e in edges if (e.target % 2 == 1) == (sublayer == "attention")]
        if kind in adapter_class(spec.partition(":")[0]).edge_kinds and edges:
            try:
                placement = Placement.parse("+".join(map(str, edges)) + f"@{spec}")
                check_adapters(placement, create_chain("starter").shape)
            except PlacementError:
                continue
            yield placement


CASES = [
    pytest.param(placement, id=str(placement))
    for name in (*list_adapters(), *VARIANTS)
    for placement in placements(name)
]
each_kind = pytest.mark.parametrize("placement", CASES)


def kind_of(placement):
    return placement.items[0][1].kind


@pytest.fixture(scope="module")
def chain():
    return create_chain("starter")


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def fresh(chain, placement, seed=0):
    torch.manual_seed(seed)
    return AdaptedModel(chain, placement, CLASSES).eval()


def awake(chain, placement, seed=0):
    """A model whose adapters do something, in every tensor of theirs."""
    model = fresh(chain, placement, seed)
    with torch.no_grad():
        for parameter in model.adapters.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def frozen(model, images):
    return frozen_activations(model.chain, model.chain.embed(images), model.frozen_nodes)


@each_kind
@torch.no_grad()
def test_a_new_adapter_changes_nothing_or_little(chain, images, placement):
    model, plain = fresh(chain, placement), fresh(chain, Placement())
    plain.head.load_state_dict(model.head.state_dict())
    found, expected = model(images), plain(images)
    bound = NOT_IDENTITY.get(kind_of(placement))
    if bound is None:
        assert torch.equal(found, expected)
    else:
        change = (found - expected).abs().max().item()
        assert 0 < change < bound


@each_kind
def test_parameters_are_counted_right_without_building(chain, placement):
    model = fresh(chain, placement)
    trained = sum(p.numel() for p in model.adapters.parameters() if p.requires_grad)
    assert trained == count_parameters(placement, chain.shape) > 0


@pytest.mark.parametrize(("text", "edges", "count"), COUNTS, ids=lambda value: str(value)[:20])
def test_parameters_in_vit_b_are_as_published(text, edges, count):
    placement = Placement.parse("+".join(map(str, edges)) + f"@{text}")
    assert count_parameters(placement, VIT_B) == count


@each_kind
def test_every_trained_tensor_gets_a_gradient(chain, images, placement):
    model = awake(chain, placement)
    functional.cross_entropy(model(images), LABELS).backward()
    for name, parameter in model.adapters.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@each_kind
def test_one_step_changes_the_output(chain, images, placement):
    model = fresh(chain, placement)
    before = model(images).detach()
    optimiser = torch.optim.SGD(model.adapters.parameters(), lr=1.0)
    functional.cross_entropy(model(images), LABELS).backward()
    optimiser.step()
    assert (model(images) - before).abs().max() > 0


@each_kind
@torch.no_grad()
def test_cached_activations_give_the_same_logits(chain, images, placement):
    model = awake(chain, placement)
    torch.testing.assert_close(
        model.forward_suffix(frozen(model, images)), model(images), rtol=1e-5, atol=1e-5
    )


@each_kind
def test_alone_equals_in_a_population_also_beside_other_kinds(chain, images, placement):
    others = Placement.parse("2>3@lora:r=2+4>6@bottleneck:r=2"), Placement.parse("9>2@linear:r=2")
    models = [awake(chain, placement, 1), awake(chain, placement, 2)]
    models += [awake(chain, other, 3) for other in others]
    population = Population(models, cohorts=[0, 0, 0, 1])
    logits = population([frozen(model, images) for model in models], members=range(len(models)))
    losses = [functional.cross_entropy(each, LABELS) for each in logits]
    sum(losses).backward()
    for member, model in enumerate(models):
        alone = model.forward_suffix(frozen(model, images))
        torch.testing.assert_close(logits[member], alone, rtol=1e-4, atol=1e-4)
        functional.cross_entropy(alone, LABELS).backward()
        found = population.trainable_state(member, of=lambda parameter: parameter.grad)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-4)


@each_kind
@torch.no_grad()
def test_bfloat16_gives_about_the_same_logits(chain, images, placement):
    model = awake(chain, placement)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = model(images)
    expected = model(images)
    assert (found - expected).abs().max() < 0.1 * max(1.0, expected.abs().max().item())


@each_kind
@torch.no_grad()
def test_the_chain_is_as_before_when_a_pass_is_over(chain, images, placement):
    before = chain(images)
    awake(chain, placement)(images)
    assert torch.equal(chain(images), before)


@torch.no_grad()
def test_saved_models_give_the_same_logits_in_a_new_process(chain, images, tmp_path):
    expected = {}
    for number, case in enumerate(CASES):
        model = awake(chain, case.values[0])
        save_adapted(model, tmp_path / str(number), card="# test\n")
        loaded = load_adapted(tmp_path / str(number))
        expected[number] = model(images)
        assert torch.equal(loaded(images), expected[number])
    torch.save({"images": images, "expected": expected}, tmp_path / "logits.pt")
    script = (
        "import sys, torch; from autoplace.model import load_adapted; from pathlib import Path\n"
        "root = Path(sys.argv[1]); known = torch.load(root / 'logits.pt', weights_only=True)\n"
        "with torch.no_grad():\n"
        "    for number, logits in known['expected'].items():\n"
        "        found = load_adapted(root / str(number))(known['images'])\n"
        "        assert (found - logits).abs().max() < 1e-5, number\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=300)


@pytest.mark.parametrize("kind", list_adapters())
def test_edges_that_a_kind_cannot_serve_are_refused(chain, kind):
    for edge_kind, edges in BY_KIND.items():
        placement = Placement.parse(f"{edges[0]}@{kind}")
        if edge_kind in adapter_class(kind).edge_kinds:
            continue
        with pytest.raises(PlacementError, match="cannot serve"):
            AdaptedModel(chain, placement, CLASSES)


@pytest.mark.parametrize("kind", list_adapters())
def test_every_kind_names_its_paper_and_documents_its_options(kind):
    adapter = adapter_class(kind)
    assert "arXiv" in adapter.paper or "19" in adapter.paper or "20" in adapter.paper
    assert issubclass(adapter, SubLayerAdapter) == (
        adapter.edge_kinds == frozenset({EdgeKind.PARALLEL})
    )


@each_kind
def test_the_maps_that_a_kind_names_are_those_at_its_sites(chain, placement):
    for edge, spec in placement:
        adapter = create_adapter(spec, edge, chain.shape)
        sites = set(adapter.sites) if isinstance(adapter, SubLayerAdapter) else set()
        named = changed_maps(spec, edge)
        assert {site for site in Site if set(site.maps) & set(named)} == sites
        assert set(named) <= {name for site in Site for name in site.maps}
