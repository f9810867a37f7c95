"""What the probe measures inside sub-layers is exact against autograd on real adapters."""

from __future__ import annotations

import weakref

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from autoplace.backbones import ResidualChain, Site
from autoplace.data import Batch
from autoplace.model import AdaptedModel, LinearHead
from autoplace.placement import AdapterSpec, Edge, Placement
from autoplace.probing import (
    SITE_COLUMNS,
    Measurement,
    ProbeTables,
    SiteSums,
    Sketch,
    capture,
    gradient_products,
    run_probe,
)
from autoplace.probing._measurement import PILOT
from autoplace.settings import ProbeSettings

N, DIM, CLASSES, IMAGES = 5, 12, ("a", "b", "c"), 6
EDGES = [Edge(node - 1, node) for node in range(1, N)]
LETTERS = {"q": Site.QKV, "k": Site.QKV, "v": Site.QKV, "o": Site.O, "u": Site.FC1, "d": Site.FC2}


def build(block=timm.models.vision_transformer.Block, **options) -> ResidualChain:
    torch.manual_seed(0)
    model = timm.models.VisionTransformer(
        img_size=16, patch_size=8, embed_dim=DIM, depth=2, num_heads=2, num_classes=3,
        block_fn=block, **options,
    )  # fmt: skip
    for parameter in model.parameters():  # away from timm's small initial values
        parameter.data.add_(torch.randn_like(parameter) * 0.2)
    return ResidualChain(model, name="tiny").double()


POST_NORM = timm.models.vision_transformer.ResPostBlock


CHAINS = {"pre-norm": {}, "post-norm": {"block": POST_NORM}, "layer scale": {"init_values": 0.5}}


@pytest.fixture(scope="module", params=CHAINS.values(), ids=CHAINS)
def chain(request) -> ResidualChain:
    return build(**request.param)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(IMAGES, 3, 16, 16, generator=generator, dtype=torch.float64)


LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
HEAD = LinearHead(np.random.default_rng(2).normal(size=(3, DIM)), np.zeros(3))


@pytest.fixture(scope="module")
def measured(chain, images) -> Measurement:
    """Two micro-batches, the first of them in two passes."""
    measurement = Measurement(chain, width=0, seed=0)
    for parts in ([(0, 1), (1, 4)], [(4, 6)]):
        measurement.add(
            [Batch(images[a:b], LABELS[a:b], torch.arange(a, b)) for a, b in parts], HEAD
        )
    return measurement


def trained_once(chain, images, spec, edges=EDGES) -> AdaptedModel:
    """Adapters that change nothing yet, with the gradients of the loss averaged over images."""
    model = AdaptedModel(chain, Placement.of(edges, spec), CLASSES).double()
    for name, parameter in model.adapters.named_parameters():
        if "gamma" in name or "beta" in name:  # what SSF and AdapterBias scale and shift with
            parameter.data.fill_(1.0 if "gamma" in name or spec.kind == "adapterbias" else 0.0)
        if name.endswith(".w"):
            parameter.data.zero_()
    model.head = nn.Linear(DIM, 3, bias=False).double()
    model.head.weight.data = torch.from_numpy(HEAD.weight)
    functional.cross_entropy(model(images), LABELS).backward()
    return model


def by_map(sites: dict) -> dict:
    """Split what belongs to q, k and v."""
    parts = dict(zip("qkv", sites.pop("qkv").grad.chunk(3), strict=True)) if "qkv" in sites else {}
    return parts | {name: parameter.grad for name, parameter in sites.items()}


@pytest.mark.parametrize(
    ("spec", "own", "column"),
    [
        ("ssf", "gamma", "gamma_norm"),
        ("ssf", "beta", "beta_norm"),
        ("bitfit", "bias", "beta_norm"),
    ],
)
def test_norms_of_scales_and_shifts_are_those_of_real_adapters(
    chain, images, measured, spec, own, column
):
    model = trained_once(chain, images, AdapterSpec.of(spec))
    found = measured.sites.table(IMAGES).set_index(["node", "map"])[column]
    expected = {
        (edge.target, name): gradient.norm().item()
        for edge in EDGES
        for name, gradient in by_map(dict(getattr(model.adapter(edge), own))).items()
    }
    assert found.to_dict() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_shift_of_fc2_is_what_v_of_an_adapter_bias_receives_at_alpha_1(chain, images, measured):
    model = trained_once(chain, images, AdapterSpec.of("adapterbias"), EDGES[1::2])
    found = measured.sites.table(IMAGES).set_index(["node", "map"])["beta_norm"]
    for edge in EDGES[1::2]:
        ours = found[edge.target, "fc2"]
        assert ours == pytest.approx(model.adapter(edge).v.grad.norm().item(), rel=1e-9)


@pytest.mark.parametrize("letter", LETTERS)
def test_loras_gradient_follows_from_that_of_the_weight(chain, images, measured, letter):
    spec, site = AdapterSpec.of("lora", r=2, alpha=6, maps=letter), LETTERS[letter]
    edges = EDGES[::2] if letter in "qkvo" else EDGES[1::2]
    model = trained_once(chain, images, spec, edges)
    for edge in edges:
        factors = getattr(model.adapter(edge), letter)
        maps = measured.sites.gradients[edge.target, site].total[0] / IMAGES
        ours = 6 / 2 * factors.a @ maps["qkv".find(letter) if site is Site.QKV else 0]
        torch.testing.assert_close(ours.T, factors.b.grad, rtol=1e-9, atol=1e-12)


def test_norms_and_ranks_are_those_of_the_weights_own_gradients(chain, images, measured):
    names = {"attention": {"qkv": "qkv", "proj": "o"}, "mlp": {"fc1": "fc1", "fc2": "fc2"}}
    chain.requires_grad_(True)
    captured = capture(chain, images)
    functional.cross_entropy(captured.features @ torch.from_numpy(HEAD.weight).T, LABELS).backward()
    expected, stable = {}, {}
    for number, block in enumerate(chain.model.blocks):
        for part, node in ((block.attn, 2 * number + 1), (block.mlp, 2 * number + 2)):
            for theirs, ours in names["attention" if node % 2 else "mlp"].items():
                gradient = getattr(part, theirs).weight.grad
                for name, rows in (
                    zip("qkv", gradient.chunk(3), strict=True)
                    if ours == "qkv"
                    else [(ours, gradient)]
                ):
                    expected[node, name] = rows.norm().item()
                    stable[node, name] = (rows.norm() / torch.linalg.matrix_norm(rows, 2)).item()
    chain.requires_grad_(False).zero_grad()
    table = measured.sites.table(IMAGES).set_index(["node", "map"]).drop("norm", level="map")
    assert table["frobenius_norm"].to_dict() == pytest.approx(expected, rel=1e-9)
    squared = {key: value**2 for key, value in stable.items()}
    assert table["stable_rank"].to_dict() == pytest.approx(squared, rel=1e-9)
    assert table["gradient_rank"].between(1, DIM).all()
    assert (table["snr"] > 0).all()


def test_a_norm_has_no_weight_matrix(measured):
    norms = measured.sites.table(IMAGES).query("map == 'norm'")
    assert len(norms) == N - 1
    of_weight = norms[["gradient_rank", "stable_rank", "frobenius_norm", "snr"]]
    assert of_weight.isna().all(axis=None)
    assert norms[["gamma_norm", "beta_norm"]].notna().all(axis=None)


def test_signal_to_noise_is_over_micro_batches_not_over_passes(chain, images):
    table = {}
    for passes in ([(0, 4)], [(0, 2), (2, 4)]):
        measurement = Measurement(chain, width=0, seed=0)
        for parts in (passes, [(4, 6)]):
            measurement.add(
                [Batch(images[a:b], LABELS[a:b], torch.arange(a, b)) for a, b in parts], HEAD
            )
        table[len(passes)] = measurement.sites.table(IMAGES)
    pd.testing.assert_frame_equal(table[1], table[2])
    assert table[1]["snr"].notna().sum() == 2 * (4 + 2)


def test_what_the_backbone_lacks_has_no_row(images):
    gated = build(mlp_layer=timm.layers.SwiGLU)
    measurement = Measurement(gated, width=0, seed=0)
    measurement.add([Batch(images, LABELS, torch.arange(IMAGES))], HEAD)
    table = measurement.sites.table(IMAGES)
    assert set(table.loc[table["node"] % 2 == 0, "map"]) == {"norm", "fc2"}


def test_watching_changes_no_value(chain, images):
    watched = capture(chain, images, SiteSums(chain, 0, 0).step)
    torch.testing.assert_close(watched.features, capture(chain, images).features)


@pytest.mark.parametrize("backward", [True, False])
def test_no_pass_outlives_its_use(chain, images, backward):
    sites = SiteSums(chain, 0, 0)
    captured = capture(chain, images, sites.step)
    embedding = weakref.ref(captured.hidden[0])  # alive as long as any part of the graph is
    if backward:
        captured.cotangents(captured.features.sum())
    del captured
    assert embedding() is None


def test_inputs_sketched_in_the_forward_pass_give_the_same_as_those_sketched_after(
    chain, images, monkeypatch
):
    first = SiteSums(chain, width=8, seed=0)
    capture_and_end(chain, images, first)
    assert {sketch.left is not None for sketch in first.sketches.values()} == {True}
    again = SiteSums(chain, width=8, seed=0)
    again.sketches = dict(first.sketches)
    monkeypatch.setattr(again, "_fit", lambda *tensors: pytest.fail("fitted once more"))
    capture_and_end(chain, images, again)
    for key, gradient in first.gradients.items():
        torch.testing.assert_close(again.gradients[key].total, gradient.total)
    for name in ("scales", "shifts"):
        torch.testing.assert_close(getattr(again, name), getattr(first, name))


def test_sketches_of_maps_are_chosen_in_a_pass_of_few_images(chain, monkeypatch):
    seen, fit = [], SiteSums._fit
    monkeypatch.setattr(
        SiteSums,
        "_fit",
        lambda self, source, *rest: seen.append(len(source)) or fit(self, source, *rest),
    )
    many = torch.randn(2 * PILOT, 3, 16, 16, dtype=torch.float64)
    measurement = Measurement(chain, width=8, seed=0)
    measurement.add([Batch(many, torch.arange(2 * PILOT) % 3, torch.arange(2 * PILOT))], HEAD)
    tokens = chain.embed(many).shape[1]
    assert set(seen) == {PILOT * tokens}
    assert len(seen) == len(measurement.sites.gradients)


def capture_and_end(chain, images, sites) -> None:
    captured = capture(chain, images, sites.step)
    captured.cotangents(captured.features.square().sum())
    sites.end_micro_batch()


def test_sources_of_another_width_than_the_cotangents_can_be_sketched():
    generator = torch.Generator().manual_seed(0)
    scales = torch.linspace(0, -4, 60).exp()
    source = torch.randn(400, 60, generator=generator) * scales
    cotangent = source @ torch.randn(60, 90, generator=generator) / 8
    full = gradient_products(source[None], cotangent[None])
    squared = []
    for seed in range(20):
        sketch = Sketch.of_sources([source], [cotangent], width=32, seed=seed)
        seen = sketch.spectral(gradient_products(sketch.source(0, source)[None], cotangent[None]))
        assert seen.shape == (1, 1, 24, 90)
        squared.append(torch.linalg.matrix_norm(seen).square())
    expected = torch.linalg.matrix_norm(full).square()
    torch.testing.assert_close(torch.stack(squared).mean(0), expected, rtol=0.02, atol=0.0)


def test_a_cotangent_of_zero_is_sketched_as_any_other():
    source, zero = torch.randn(50, 20), torch.zeros(50, 20)
    sketch = Sketch.of_sources([source], [zero], width=8, seed=0)
    assert torch.isfinite(sketch.source(0, source)).all()


@pytest.fixture(scope="module")
def tables(task) -> ProbeTables:
    settings = ProbeSettings(probe_images=30, probe_batch=10, probe_micro_batches=3)
    return run_probe(task.chain, task.data.train, 3, settings, seed=0)


def test_every_sub_layer_has_a_row_for_each_map(tables, task):
    assert list(tables.sites.columns) == list(SITE_COLUMNS)
    for node, rows in tables.sites.groupby("node"):
        assert list(rows["map"]) == (
            ["norm", "q", "k", "v", "o"] if node % 2 else ["norm", "fc1", "fc2"]
        )
    assert sorted(set(tables.sites["node"])) == list(range(1, task.chain.n_nodes))


def test_a_sketched_probe_orders_maps_as_the_full_one(tables, task):
    settings = ProbeSettings(probe_images=30, probe_micro_batches=3, sketch=64)
    sketched = run_probe(task.chain, task.data.train, 3, settings, seed=0).sites
    for column in ("gradient_rank", "frobenius_norm", "stable_rank", "snr", "gamma_norm"):
        order = sketched[column].corr(tables.sites[column], method="spearman")
        assert order > 0.9, column


def test_a_probe_that_was_stored_without_sites_has_none():
    assert ProbeTables(pd.DataFrame(), pd.DataFrame(), pd.DataFrame()).sites.empty
