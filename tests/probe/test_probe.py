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
from autoplace.model import AdaptedModel
from autoplace.placement import Edge, Placement
from autoplace.probe import (
    CrossFittedLoss,
    GradientSum,
    capture,
    gradient_products,
    narrow_sketch,
    probe_rows,
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
    bottleneck = Bottleneck(Bottleneck.Config(r=3), DIM).double()
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


def test_the_narrow_sketch_keeps_cosines_roughly():
    base = torch.randn(1, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    pair = torch.cat([base, 2 * base, -base], dim=1)
    sketch = narrow_sketch(pair, seed=0)[0]
    cosine = functional.cosine_similarity(sketch[0], sketch[1:])
    torch.testing.assert_close(cosine, torch.tensor([1.0, -1.0]))


def test_the_probes_sample_is_stratified_and_seeded():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    rows = probe_rows(labels, 100, seed=0)
    assert len(set(rows.tolist())) == 100
    assert np.abs(np.bincount(labels[rows]) - [60, 30, 10]).max() <= 1
    assert np.array_equal(rows, probe_rows(labels, 100, seed=0))
    assert not np.array_equal(rows, probe_rows(labels, 100, seed=1))
    assert sorted(probe_rows(labels, 5000, seed=0)) == list(range(1000))


def test_cross_fitted_loss_is_the_mean_over_rows_under_heads_that_have_not_seen_them():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    noise = torch.from_numpy(rng.normal(size=(60, 40)))
    loss = CrossFittedLoss(noise, labels, 3, seed=0)
    parts = sum(loss(noise[s], s).item() for s in (slice(0, 25), slice(25, 60)))
    assert parts == pytest.approx(loss.value)
    # Forty features separate thirty noisy rows perfectly; a head that had seen them would too.
    assert loss.accuracy < 0.6


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
    settings = ProbeSettings(probe_images=30, probe_batch=10)
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


def test_keeping_graphs_and_two_passes_give_the_same_tables(tables, task, monkeypatch):
    # By module: `autoplace.probe` as an attribute is the function of that name.
    monkeypatch.setattr(sys.modules["autoplace.probe._probe"], "RETAINED_GRAPH_BYTES", 0)
    settings = ProbeSettings(probe_images=30, probe_batch=10)
    again = run_probe(task.chain, task.data.train, 3, settings, seed=0)
    pd.testing.assert_frame_equal(again.edges, tables.edges)
    pd.testing.assert_frame_equal(again.task, tables.task)


def test_a_sketched_probe_orders_edges_much_as_the_full_one(tables, task):
    settings = ProbeSettings(probe_images=30, probe_batch=10, sketch=64)
    sketched = run_probe(task.chain, task.data.train, 3, settings, seed=0)
    for column in ("frobenius_norm", "stable_rank"):
        order = sketched.edges[column].corr(tables.edges[column], method="spearman")
        assert order > 0.9, column


def test_the_backbones_weights_get_no_gradient(tables, task):
    assert all(parameter.grad is None for parameter in task.chain.parameters())
