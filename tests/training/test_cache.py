"""What trials read is the same wherever it is kept or not kept, and limits are kept."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import torch

from autoplace.model import frozen_activations
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import run_trial

SETTINGS = TrialSettings(epochs=3, batch_size=8, lr=3e-3)
MIXED = Placement.parse("2>12+8>8+14>15+22>10@bottleneck:r=4")
NODE_GIB = 60 * 17 * 96 * 4 / 2**30  # one node of all 60 images


def values_of(task, nodes, order, split="train", **options):
    batches = list(task.cache(split).batches(nodes, torch.as_tensor(order), 8, **options))
    labels = torch.cat([batch.labels for batch in batches])
    return {n: torch.cat([batch.values[n] for batch in batches]) for n in nodes}, labels


@pytest.fixture(scope="module")
def expected(task):
    """The chain's own values of the training images at every node, and the labels."""
    batch = task.data.train.load(np.arange(len(task.data.train)))
    nodes = range(task.chain.n_nodes)
    return frozen_activations(task.chain, task.chain.embed(batch.images), nodes), batch.labels


def full_disk(monkeypatch):
    monkeypatch.setattr(sys.modules["autoplace.training._spill"], "KEPT_FREE", 2**62)


WAYS = {
    "in memory": {},
    "in files": {"cache_gb": 0.0},
    "some in memory, some in files": {"cache_gb": 1 * NODE_GIB},
    "recomputed": {"cache_gb": 0.0, "cache_dir": "/no/such/folder"},
    "recomputed from node 0": {"cache_gb": 1 * NODE_GIB, "cache_dir": "/no/such/folder"},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_values_are_the_chains_own_in_any_order(make_task, expected, way, tmp_path):
    task = make_task(**({"cache_dir": str(tmp_path)} | WAYS[way]))
    truth, labels = expected
    rng = np.random.default_rng(0)
    for nodes in [(3, 7), (0, 24), (3, 9, 20), (5,)]:
        order = rng.permutation(len(labels))
        values, found = values_of(task, nodes, order)
        assert torch.equal(found, labels[order])
        for node in nodes:
            torch.testing.assert_close(values[node], truth[node][order], rtol=1e-4, atol=1e-4)
    assert not list(tmp_path.iterdir())  # files are gone from sight as soon as they are mapped


@pytest.mark.parametrize("way", WAYS)
def test_trials_are_the_same(make_task, task, way):
    notes = []
    other = make_task(notes.append, **WAYS[way])
    ours, theirs = run_trial(other, MIXED, SETTINGS, 1), run_trial(task, MIXED, SETTINGS, 1)
    np.testing.assert_allclose(ours.step_losses, theirs.step_losses, rtol=1e-4)
    if way == "in memory":
        assert not notes
    else:
        (note,) = notes  # said, and once
        assert ("computed again" if "recomputed" in way else "kept in files") in note


def test_a_full_disk_is_no_end_and_is_told(make_task, task, monkeypatch, tmp_path):
    full_disk(monkeypatch)
    notes = []
    other = make_task(notes.append, cache_gb=0.0, cache_dir=str(tmp_path))
    ours, theirs = run_trial(other, MIXED, SETTINGS, 1), run_trial(task, MIXED, SETTINGS, 1)
    np.testing.assert_allclose(ours.step_losses, theirs.step_losses, rtol=1e-4)
    (note,) = notes
    assert str(tmp_path) in note
    assert "GiB needed" in note
    assert "computed again at each step" in note


def test_memory_keeps_its_limit_and_drops_what_was_not_asked_for_lately(make_task, expected):
    task = make_task(cache_gb=4 * NODE_GIB, cache_dir="/no/such/folder")
    cache = task.cache("train")
    for nodes in [(3, 5), (6, 7), (5, 24), (0, 6), (6, 9)]:
        values_of(task, nodes, np.arange(8))
        in_memory = [store for store in cache._stores.values() if not store.mapped]
        assert {(node, -1) for node in nodes} <= set(cache._stores)
        assert len(in_memory) * 36 * 17 * 96 * 4 <= cache._limit
    assert (3, -1) not in cache._stores


def test_a_disk_that_fills_makes_room_for_what_is_asked_for(make_task, monkeypatch, tmp_path):
    task = make_task(cache_gb=0.0, cache_dir=str(tmp_path))
    values_of(task, (3, 5), np.arange(8))
    spill = task.cache("train")._spill
    monkeypatch.setattr(
        type(spill), "fits", lambda self, n_bytes: len(task.cache("train")._stores) < 2
    )
    values_of(task, (7,), np.arange(8))
    assert set(task.cache("train")._stores) == {(5, -1), (7, -1)}


def test_only_the_images_that_are_asked_for_are_decoded_and_each_once(make_task):
    decoded = []
    task = make_task(watch=decoded.append)
    values_of(task, (3, 5), [4, 9, 2])
    assert len(decoded) == 3
    values_of(task, (7, 5), [9, 2, 4])
    assert len(decoded) == 3
    values_of(task, (3,), np.arange(len(task.data.train)))
    values_of(task, (8,), np.arange(len(task.data.train)))
    assert len(decoded) == len(task.data.train)


@pytest.fixture
def damaged(image_folder, tmp_path):
    """A copy of the images in which two cannot be read."""
    copy = tmp_path / "damaged"
    shutil.copytree(image_folder, copy)
    for name in ("red/03.png", "blue/07.png"):
        (copy / name).write_bytes(b"no image")
    return copy


@pytest.mark.parametrize("way", WAYS)
def test_unreadable_images_are_passed_over(make_task, damaged, way):
    task = make_task(folder=damaged, **WAYS[way])
    splits = task.data.splits
    for _ in range(2):
        seen = sum(
            len(values_of(task, (3, 5), np.arange(len(split)), split.name)[1]) for split in splits
        )
        assert seen == 58
    assert sum(len(task.cache(split.name).readable) for split in splits) == 58
    assert len(run_trial(task, MIXED, SETTINGS, 1).step_losses) == 3 * 5


@pytest.mark.parametrize("kind", ["bf16", "float16"])
def test_half_precision_takes_half_the_memory_and_stays_close(make_task, expected, kind):
    task = make_task(cache_precision=kind, cache_gb=2 * NODE_GIB, cache_dir="/no/such/folder")
    values, _ = values_of(task, (3, 5, 24), np.arange(8))  # three halves where two wholes would fit
    truth, _ = expected
    for node in (3, 5, 24):
        assert values[node].dtype == torch.float32
        torch.testing.assert_close(values[node], truth[node][:8], rtol=1e-2, atol=1e-2)
        assert not torch.equal(values[node], truth[node][:8])


def test_kept_views_return_and_new_ones_do_not(make_task):
    kept, new = make_task(augment="crop-flip", views=2), make_task(augment="crop-flip")
    order = np.arange(12)

    def seen(task, epoch):
        return values_of(task, (0, 5), order, epoch=epoch)[0][5]

    assert torch.equal(seen(kept, 0), seen(kept, 2))
    assert torch.equal(seen(kept, 1), seen(kept, 3))
    assert not torch.allclose(seen(kept, 0), seen(kept, 1))
    for epoch in range(2):  # a view is a matter of its number, not of what is kept
        torch.testing.assert_close(seen(new, epoch), seen(kept, epoch), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(seen(new, 2), seen(new, 0))
    assert not new.cache("train")._stores, "nothing is kept"
    assert {view for _, view in kept.cache("train")._stores} == {0, 1}


def test_only_training_images_are_augmented(make_task, task):
    augmented = make_task(augment="crop", views=1)
    for split in ("val", "test"):
        ours = values_of(augmented, (5,), np.arange(6), split)[0][5]
        theirs = values_of(task, (5,), np.arange(6), split)[0][5]
        torch.testing.assert_close(ours, theirs)


def test_a_trial_on_augmented_images_is_repeatable_and_another_one(make_task, task):
    first, again = (
        run_trial(make_task(augment="crop-flip"), MIXED, SETTINGS, 1).step_losses for _ in range(2)
    )
    np.testing.assert_allclose(first, again, rtol=1e-6)
    assert not np.allclose(first, run_trial(task, MIXED, SETTINGS, 1).step_losses)


def test_bf16_without_a_device_for_it_is_told_and_is_float32(make_task, task, monkeypatch):
    module = sys.modules["autoplace.training._precision"]
    monkeypatch.setattr(module, "supports_bf16", lambda device: False)
    notes = []
    other = make_task(notes.append, precision="bf16")
    assert other.precision == "float32"
    assert "computing in float32" in notes[0]
    ours, theirs = run_trial(other, MIXED, SETTINGS, 1), run_trial(task, MIXED, SETTINGS, 1)
    np.testing.assert_allclose(ours.step_losses, theirs.step_losses, rtol=1e-5)


def test_bf16_where_the_device_has_it_trains_much_the_same(make_task, task, monkeypatch):
    module = sys.modules["autoplace.training._precision"]
    monkeypatch.setattr(module, "supports_bf16", lambda device: True)  # emulated is slow, not wrong
    notes = []
    other = make_task(notes.append, precision="bf16")
    assert (other.precision, notes) == ("bf16", [])
    ours, theirs = run_trial(other, MIXED, SETTINGS, 1), run_trial(task, MIXED, SETTINGS, 1)
    assert not np.allclose(ours.step_losses, theirs.step_losses, rtol=1e-6)
    np.testing.assert_allclose(ours.step_losses, theirs.step_losses, rtol=0.2, atol=0.05)
