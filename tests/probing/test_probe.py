"""The probe is exact against autograd, and its tables say what they claim."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional

from autoplace.adapters import Bottleneck, normalise
from autoplace.backbones import ResidualChain
from autoplace.model import AdaptedModel, LinearHead
from autoplace.placement import Edge, Placement
from autoplace.probing import (
    GradientSum,
    HeldOutLoss,
    Measurement,
    OverlapSketch,
    Sketch,
    capture,
    deal,
    gradient_products,
    run_probe,
    separability,
    spectrum_statistics,
)
from autoplace.settings import ProbeSettings

N, DIM, CLASSES = 5, 12, ("a", "b", "c")


@pytest.fixture(scope="module")
def chain():
    torch.manual_seed(0)
    model = timm.models.VisionTransformer(
        img_size=16, patch_size=8, embed_dim=DIM, depth=2, num_heads=2, num_classes=3
    )
    for parameter in model.parameters():  # away from timm's small initial values
        parameter.data.add_(torch.randn_like(parameter) * 0.2)
    return ResidualChain(model, name="tiny").double()


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(6, 3, 16, 16, generator=generator, dtype=torch.float64)
    return images, torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope="module")
def head():
    generator = torch.Generator().manual_seed(2)
    return torch.randn(3, DIM, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def captured(chain, batch, head):
    images, labels = batch
    at = capture(chain, images)
    loss = functional.cross_entropy(at.features @ head.T, labels)
    hidden = torch.stack([h.detach() for h in at.hidden])
    return hidden, torch.stack(at.cotangents(loss))


class FullMap(nn.Module):
    """A d x d linear map on the normalised stream, zero at first: what an edge's gradient is of."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(DIM, DIM, dtype=torch.float64))

    def forward(self, hidden):
        return normalise(hidden) @ self.weight


def inserted_gradient(chain, batch, head, edge, unroll, adapter, of):
    """Autograd's gradient of `of` with the adapter really in place on one edge."""
    images, labels = batch
    model = AdaptedModel(chain, Placement.of([edge], unroll=unroll), CLASSES).double()
    model.adapters[str(edge)] = adapter
    model.head = nn.Linear(DIM, 3, bias=False).double()
    model.head.weight.data = head
    functional.cross_entropy(model(images), labels).backward()
    return of(adapter).grad


def relative_error(ours, theirs):
    return ((ours - theirs).norm() / theirs.norm()).item()


@pytest.mark.parametrize("unroll", [2, 3])
def test_every_edges_gradient_is_that_of_an_inserted_full_map(chain, batch, head, captured, unroll):
    hidden, cotangents = captured
    gradients = gradient_products(normalise(hidden).flatten(1, 2), cotangents.flatten(1, 2))
    for i, j in np.ndindex(N, N):
        inserted = inserted_gradient(
            chain, batch, head, Edge(i, j), unroll, FullMap(), lambda a: a.weight
        )
        assert relative_error(gradients[i, j], inserted) < 1e-4, f"edge {i}>{j}, T={unroll}"


@pytest.mark.parametrize("unroll", [2, 3])
def test_every_edges_gradient_is_that_of_an_inserted_bottlenecks_up(
    chain, batch, head, captured, unroll
):
    hidden, cotangents = captured
    torch.manual_seed(3)
    bottleneck = Bottleneck(Bottleneck.Config(r=3), chain.shape, Edge(0, 1)).double()
    read = functional.gelu(bottleneck.down(normalise(hidden))).detach()
    gradients = gradient_products(read.flatten(1, 2), cotangents.flatten(1, 2))
    for i, j in np.ndindex(N, N):
        bottleneck.zero_grad()
        inserted = inserted_gradient(
            chain, batch, head, Edge(i, j), unroll, bottleneck, lambda a: a.up.weight
        )
        assert relative_error(gradients[i, j].T, inserted) < 1e-4, f"edge {i}>{j}, T={unroll}"


def test_micro_batches_add_up_to_the_whole(captured):
    hidden, cotangents = captured
    sources = normalise(hidden)
    whole = gradient_products(sources.flatten(1, 2), cotangents.flatten(1, 2))
    total = GradientSum()
    for part in (slice(0, 2), slice(2, 6)):
        total.add(
            gradient_products(sources[:, part].flatten(1, 2), cotangents[:, part].flatten(1, 2))
        )
    torch.testing.assert_close(total.total, whole)


def test_signal_to_noise_is_one_for_noise_and_grows_with_agreement():
    generator = torch.Generator().manual_seed(0)
    noise, steady = GradientSum(), GradientSum()
    for _ in range(16):
        sample = torch.randn(4, 4, 8, 8, generator=generator)
        noise.add(sample)
        steady.add(sample + 3.0)
    assert abs(noise.signal_to_noise().mean().item() - 1) < 0.3
    assert steady.signal_to_noise().min() > 50
    single = GradientSum()
    single.add(torch.ones(2, 2, 3, 3))
    assert single.signal_to_noise().isnan().all()


def test_spectrum_statistics_of_known_matrices():
    known = torch.stack([torch.diag(torch.tensor([3.0, 3.0, 3.0, 0.0])), torch.zeros(4, 4)])
    statistics = spectrum_statistics(known[:, None])
    first = {name: values[0, 0].item() for name, values in statistics.items()}
    assert first["gradient_rank"] == first["rank_1e1"] == 3
    assert first["stable_rank"] == pytest.approx(3)
    assert first["effective_rank"] == pytest.approx(3)
    assert first["frobenius_norm"] == pytest.approx(27**0.5)
    assert first["nuclear_norm"] == pytest.approx(9)
    assert first["energy_r8"] == pytest.approx(1)
    assert statistics["gradient_rank"][1, 0] == 0
    assert statistics["stable_rank"][1, 0].isnan()


@pytest.fixture(scope="module")
def long_tailed():
    """Rows (nodes, rows, dim) whose directions differ between nodes and fade slowly."""
    generator = torch.Generator().manual_seed(0)
    scales = torch.linspace(0, -2, 60).exp()
    bases = torch.linalg.qr(torch.randn(3, 60, 60, generator=generator))[0]
    return torch.randn(3, 400, 60, generator=generator) * scales @ bases.mT


def seen_through(sketch, sources, cotangents):
    return gradient_products(
        torch.stack([sketch.source(node, rows) for node, rows in enumerate(sources)]),
        torch.stack([sketch.cotangent(node, rows) for node, rows in enumerate(cotangents)]),
    )


def test_a_sketch_keeps_the_top_of_spectra_and_norms_in_expectation(long_tailed):
    other = long_tailed.flip(0)
    full = gradient_products(long_tailed, other)
    norms, tops = [], []
    for seed in range(20):
        sketch = Sketch.fit(long_tailed, other, width=44, seed=seed)
        spectral = sketch.spectral(seen_through(sketch, long_tailed, other))
        norms.append(torch.linalg.matrix_norm(spectral).square())
        tops.append(torch.linalg.matrix_norm(spectral, 2))
    squared = torch.linalg.matrix_norm(full).square()
    torch.testing.assert_close(torch.stack(norms).mean(0), squared, rtol=0.05, atol=0.0)
    largest = torch.linalg.matrix_norm(full, 2)
    torch.testing.assert_close(torch.stack(tops).mean(0), largest, rtol=0.1, atol=0.0)


def test_no_sketch_changes_nothing():
    rows = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    assert Sketch().source(3, rows) is rows
    assert Sketch().cotangent(3, rows) is rows
    assert Sketch().spectral(rows) is rows


def test_a_stream_hardly_wider_than_the_sketch_keeps_its_cotangents_whole(long_tailed):
    sketch = Sketch.fit(long_tailed, long_tailed, width=44, seed=0)
    seen = seen_through(sketch, long_tailed, long_tailed)
    assert seen.shape == (3, 3, 33, 60)
    left, right = sketch.allocate(long_tailed)
    assert (left.shape, right.shape) == ((400, 3, 33), (400, 3, 60))
    assert torch.equal(sketch.cotangent(1, long_tailed[1]), long_tailed[1])


@pytest.mark.parametrize("width", [0, 40])
def test_the_overlap_sketch_keeps_cosines_roughly_also_where_nodes_have_other_directions(
    long_tailed, width
):
    same = torch.stack([long_tailed[0], 2 * long_tailed[0], -long_tailed[0]])
    sketch = Sketch.fit(same, same, width, seed=0) if width else Sketch()
    seen = seen_through(sketch, same, same)
    overlap = OverlapSketch(sketch, 60, seed=0)
    first, second, third = (overlap.of_source(node, seen[node])[0] for node in range(3))
    assert first.shape == (16,)
    assert functional.cosine_similarity(first, second, 0) > 0.8
    assert functional.cosine_similarity(first, third, 0) < -0.8


def test_micro_batches_share_every_class_and_both_folds_see_the_rare_ones():
    labels = np.repeat([0, 1, 2, 3], [60, 30, 8, 2])
    first, second = deal(labels, 8, seed=0)
    assert (len(first), len(second)) == (3, 5)
    assert sorted(np.concatenate([*first, *second])) == list(range(100))
    assert {len(rows) for rows in (*first, *second)} <= {12, 13}
    for rows in (*first, *second):
        assert np.abs(np.bincount(labels[rows], minlength=4)[:2] - [7.5, 3.75]).max() < 1
    assert all({0, 1, 2} <= set(labels[np.concatenate(fold)]) for fold in (first, second))
    again = deal(labels, 8, seed=0)
    assert all(map(np.array_equal, [*first, *second], [*again[0], *again[1]]))


def test_however_few_the_rows_both_folds_have_some():
    assert [len(fold) for fold in deal(np.array([0, 1]), 8, seed=0)] == [1, 1]


def test_the_held_out_loss_is_the_mean_over_what_it_has_seen():
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(np.arange(50) % 3)
    features = torch.from_numpy(rng.normal(size=(50, 4)))
    head = LinearHead(rng.normal(size=(3, 4)), rng.normal(size=3))
    loss = HeldOutLoss()
    parts = sum(loss(head, features[s], labels[s]).item() for s in (slice(0, 20), slice(20, 50)))
    logits = head.logits(features.numpy())
    expected = functional.cross_entropy(torch.from_numpy(logits), labels).item()
    assert parts / 50 == pytest.approx(expected)
    assert loss.value == pytest.approx(expected)
    assert loss.accuracy == (logits.argmax(1) == labels.numpy()).mean()


@pytest.mark.parametrize("dim", [8, 90], ids=["tall", "wide"])
def test_separability_is_the_accuracy_of_scikit_learns_ridge_classifier(dim):
    rng = np.random.default_rng(0)
    labels = np.append(rng.integers(0, 3, 60), 3)  # a class of one row is left out
    pooled = rng.normal(size=(4, 61, dim)) + 0.4 * rng.normal(size=(4, dim))[labels]
    model = make_pipeline(StandardScaler(), RidgeClassifier(alpha=dim))
    folds = StratifiedKFold(3, shuffle=True, random_state=5)
    expected = [
        (cross_val_predict(model, node[:60], labels[:60], cv=folds) == labels[:60]).mean()
        for node in pooled
    ]
    assert separability(pooled, labels, seed=5).tolist() == pytest.approx(expected)


def test_separability_of_classes_with_one_row_each_is_unknown():
    assert np.isnan(separability(np.zeros((2, 3, 4)), np.arange(3), seed=0)).all()


@pytest.fixture(scope="module")
def tables(task):
    settings = ProbeSettings(probe_images=30, probe_batch=10, probe_micro_batches=3)
    return run_probe(task.chain, task.data.train, 3, settings, seed=0)


def test_the_tables_have_a_row_per_edge_node_and_task(tables, task):
    n = task.chain.n_nodes
    assert len(tables.edges) == n * n
    assert len(tables.nodes) == n
    assert len(tables.task) == 1
    assert not tables.edges.isna().any(axis=None)
    assert {str(Edge(r.source, r.target).kind) == r.kind for r in tables.edges.itertuples()} == {
        True
    }
    assert tables.nodes.separability.between(0, 1).all()
    assert tables.matrix("gradient_rank")[3, 7] == (
        tables.edges.query("source == 3 and target == 7").gradient_rank.item()
    )


def test_the_images_of_a_pass_are_a_matter_of_memory_not_of_the_tables(tables, task):
    settings = ProbeSettings(probe_images=30, probe_batch=2, probe_micro_batches=3)
    again = run_probe(task.chain, task.data.train, 3, settings, seed=0)
    for name in ("edges", "nodes", "task"):
        ours, theirs = getattr(again, name), getattr(tables, name)
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-3, atol=1e-5)


def test_heads_judge_only_images_they_have_not_seen(task, monkeypatch):
    probing = sys.modules["autoplace.probing._probe"]
    fitted, judged = [], []
    fit, measure = probing.fit_head, Measurement.add

    def names(features):
        return {tuple(row) for row in np.asarray(features, dtype=float).round(3)}

    def fit_and_note(features, *args):
        fitted.append(names(features))
        return fit(features, *args)

    def measure_and_note(self, passes, head):
        features, labels = measure(self, passes, head)
        judged.append((fitted[-1], names(features)))
        return features, labels

    monkeypatch.setattr(probing, "fit_head", fit_and_note)
    monkeypatch.setattr(Measurement, "add", measure_and_note)
    run_probe(task.chain, task.data.train, 3, ProbeSettings(probe_images=30), seed=0)
    assert len(fitted) == 2
    assert sum(len(rows) for _, rows in judged) == 30
    assert not any(rows & seen for seen, rows in judged)


def test_a_sketched_probe_orders_edges_as_the_full_one(tables, task):
    settings = ProbeSettings(probe_images=30, probe_micro_batches=3, sketch=64)
    sketched = run_probe(task.chain, task.data.train, 3, settings, seed=0)
    for column in ("gradient_rank", "frobenius_norm", "stable_rank", "snr"):
        order = sketched.edges[column].corr(tables.edges[column], method="spearman")
        assert order > 0.9, column


def test_the_backbones_weights_get_no_gradient(tables, task):
    assert all(parameter.grad is None for parameter in task.chain.parameters())
