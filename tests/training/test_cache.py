"""What trials read is the same wherever it is kept or not kept, and limits are kept."""

from __future__ import annotations

import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from autoplace.model import frozen_activations
from autoplace.placement import Placement
from autoplace.settings import TrialSettings
from autoplace.training import Spill, run_trial

SETTINGS = TrialSettings(epochs=3, batch_size=8)
MIXED = Placement.parse("2>12+8>8+14>15+22>10@bottleneck:r=4")
SPLITS = ("train", "val", "test")
FIT, TEST = 48, 12  # images
NODE_GIB = FIT * 17 * 96 * 4 / 2**30  # one node of the images of fit
PIXELS_GIB = FIT * 3 * 32 * 32 / 2**30  # half as much


def values_of(task, nodes, order, split="train", **options):
    cache, rows = task.located(split)
    batches = list(cache.batches(nodes, torch.as_tensor(rows[order]), 8, **options))
    labels = torch.cat([batch.labels for batch in batches])
    return {n: torch.cat([batch.values[n] for batch in batches]) for n in nodes}, labels


def trained(task):
    return run_trial(task, MIXED, SETTINGS, seed=1, learning_rate=3e-3)


def stored(task, split="fit"):
    """Nodes and views that are stored now."""
    names = [name for at, name in task.cache(split)._memory._stores if at == split]
    return {name for name in names if name != "pixels"}


def stored_nodes(task, split="fit"):
    return {node for node, _ in stored(task, split)}


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
    "recomputed from pixels": {"cache_gb": PIXELS_GIB, "cache_dir": "/no/such/folder"},
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
    ours, theirs = trained(other), trained(task)
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
    ours, theirs = trained(other), trained(task)
    np.testing.assert_allclose(ours.step_losses, theirs.step_losses, rtol=1e-4)
    (note,) = notes
    assert str(tmp_path) in note
    assert "GiB needed" in note
    assert "computed again at each step" in note


def test_memory_keeps_its_limit_and_drops_what_was_not_asked_for_lately(make_task, expected):
    task = make_task(cache_gb=4 * NODE_GIB, cache_dir="/no/such/folder")
    memory = task.cache("fit")._memory
    for nodes in [(3, 5), (6, 7), (5, 24), (0, 6), (6, 9)]:
        values_of(task, nodes, np.arange(8))
        assert set(nodes) <= stored_nodes(task)
        assert memory.in_memory() <= 4 * NODE_GIB * 2**30
    assert 3 not in stored_nodes(task)


def test_a_split_takes_the_memory_that_others_do_not_use_now(make_task):
    task = make_task(cache_gb=1 * NODE_GIB, cache_dir="/no/such/folder")
    values_of(task, (3,), np.arange(8))
    assert stored_nodes(task) == {3}
    values_of(task, (3, 5, 7), np.arange(8), "test")  # 3/4 of a node of fit
    assert (stored_nodes(task), stored_nodes(task, "test")) == (set(), {3, 5, 7})
    values_of(task, (9,), np.arange(8))
    assert (stored_nodes(task), stored_nodes(task, "test")) == ({9}, set())


def test_what_a_reader_holds_is_not_dropped(make_task):
    notes = []
    task = make_task(notes.append, cache_gb=1 * NODE_GIB, cache_dir="/no/such/folder")
    reading = task.cache("fit").batches([3], torch.arange(FIT), 8)
    next(reading)
    values_of(task, (5,), np.arange(8))
    assert stored_nodes(task) == {3}
    assert "computed again" in notes[0]
    reading.close()
    values_of(task, (5,), np.arange(8))
    assert stored_nodes(task) == {5}


def test_a_disk_that_fills_makes_room_for_what_is_asked_for(make_task, monkeypatch, tmp_path):
    task = make_task(cache_gb=0.0, cache_dir=str(tmp_path))
    values_of(task, (3, 5), np.arange(8))
    monkeypatch.setattr(Spill, "fits", lambda self, n_bytes: len(stored_nodes(task)) < 2)
    values_of(task, (7,), np.arange(8))
    assert stored_nodes(task) == {5, 7}


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
    assert sum(len(task.readable(split.name)) for split in splits) == 58
    assert len(trained(task).step_losses) == 3 * 5


@pytest.mark.parametrize("kind", ["bf16", "float16"])
def test_half_precision_takes_half_the_memory_and_stays_close(make_task, expected, kind):
    task = make_task(cache_precision=kind, cache_gb=1.5 * NODE_GIB, cache_dir="/no/such/folder")
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
    assert not stored_nodes(new), "only pixels are kept"
    assert {view for _, view in stored(kept)} == {0, 1}


def test_only_training_images_are_augmented(make_task, task):
    augmented = make_task(augment="crop", views=1)
    for split in ("val", "test"):
        ours = values_of(augmented, (5,), np.arange(6), split)[0][5]
        theirs = values_of(task, (5,), np.arange(6), split)[0][5]
        torch.testing.assert_close(ours, theirs)


def test_a_trial_on_augmented_images_is_repeatable_and_another_one(make_task, task):
    first, again = (trained(make_task(augment="crop-flip")).step_losses for _ in range(2))
    np.testing.assert_allclose(first, again, rtol=1e-6)
    assert not np.allclose(first, trained(task).step_losses)


def test_bf16_without_a_device_for_it_is_told_and_is_float32(make_task, task, monkeypatch):
    module = sys.modules["autoplace.training._precision"]
    monkeypatch.setattr(module, "supports_bf16", lambda device: False)
    notes = []
    other = make_task(notes.append, precision="bf16")
    assert other.precision == "float32"
    assert "computing in float32" in notes[0]
    ours, theirs = trained(other), trained(task)
    np.testing.assert_allclose(ours.step_losses, theirs.step_losses, rtol=1e-5)


def test_bf16_where_the_device_has_it_trains_much_the_same(make_task, task, monkeypatch):
    module = sys.modules["autoplace.training._precision"]
    monkeypatch.setattr(module, "supports_bf16", lambda device: True)  # emulated is slow, not wrong
    notes = []
    other = make_task(notes.append, precision="bf16")
    assert (other.precision, notes) == ("bf16", [])
    ours, theirs = trained(other), trained(task)
    assert not np.allclose(ours.step_losses, theirs.step_losses, rtol=1e-6)
    np.testing.assert_allclose(ours.step_losses, theirs.step_losses, rtol=0.2, atol=0.05)


def test_the_cache_of_fit_holds_train_and_then_val(task):
    values, labels = values_of(task, (3,), task.rows("fit"), "fit")
    parts = [values_of(task, (3,), np.arange(len(task.rows(name))), name) for name in SPLITS[:2]]
    assert torch.equal(values[3], torch.cat([each[0][3] for each in parts]))
    assert torch.equal(labels, torch.cat([each[1] for each in parts]))
    assert labels.tolist() == task.labels.tolist()
    assert np.array_equal(task.rows("fit"), np.r_[task.rows("train"), task.rows("val")])


def test_a_head_is_fitted_once_and_on_its_own_rows_only(make_task):
    decoded = []
    task = make_task(watch=decoded.append)
    half = task.rows("fit")[::2]
    head = task.first_head(half)
    assert len(decoded) == len(half)
    assert task.first_head(half[::-1]) is head
    assert not np.array_equal(head.weight, task.first_head(task.rows("train")).weight)


def test_threads_that_read_other_nodes_get_what_one_thread_gets(make_task, task):
    shared, order = make_task(cache_gb=3 * NODE_GIB), np.random.default_rng(0).permutation(36)
    places = [(3, 5), (7,), (5, 20), (3, 9)]
    with ThreadPoolExecutor(len(places)) as pool:
        found = list(pool.map(lambda nodes: values_of(shared, nodes, order)[0], places * 3))
    for nodes, values in zip(places * 3, found, strict=True):
        truth, _ = values_of(task, nodes, order)
        for node in nodes:
            torch.testing.assert_close(values[node], truth[node], rtol=1e-4, atol=1e-4)


def test_prepared_nodes_have_the_same_values_and_decode_each_image_once(make_task, task):
    decoded = []
    prepared = make_task(watch=decoded.append)
    prepared.cache("fit").prepare([9, 3, 20], prepared.rows("train"))
    for nodes in [(3, 9), (20,)]:
        values, _ = values_of(prepared, nodes, np.arange(36))
        truth, _ = values_of(task, nodes, np.arange(36))
        for node in nodes:
            torch.testing.assert_close(values[node], truth[node], rtol=1e-4, atol=1e-4)
    assert len(decoded) == 36


def test_nodes_that_memory_has_no_room_for_are_not_prepared(make_task, tmp_path):
    notes, decoded = [], []
    task = make_task(notes.append, watch=decoded.append, cache_gb=0.0, cache_dir=str(tmp_path))
    task.cache("fit").prepare([3, 9], task.rows("train"))
    assert (notes, decoded) == ([], [])


@pytest.mark.parametrize("kind", ["bf16", "float16"])
def test_values_of_test_are_never_rounded(make_task, task, kind):
    halved = make_task(cache_precision=kind)
    for _ in range(2):
        ours = values_of(halved, (5,), np.arange(TEST), "test")[0][5]
        theirs = values_of(task, (5,), np.arange(TEST), "test")[0][5]
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("augment", ["none", "crop", "randaugment"])
def test_augmented_epochs_decode_each_image_once(make_task, augment):
    decoded = []
    task = make_task(watch=decoded.append, augment=augment, random_erasing=0.5)
    for epoch in range(3):
        values_of(task, (3,), np.arange(36), epoch=epoch)
    values_of(task, (5,), np.arange(36))
    assert len(decoded) == 36


def test_files_that_take_memory_are_not_used_and_the_folder_to_change_is_named(
    make_task, monkeypatch, tmp_path
):
    kinds = {str(tmp_path): "tmpfs", "/": "ext4"}
    disks = [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in kinds.items()]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: disks)
    notes = []
    (tmp_path / "cache").mkdir()
    task = make_task(notes.append, cache_gb=0.0, cache_dir=str(tmp_path / "cache"))
    values_of(task, (3,), np.arange(8))
    (note,) = notes
    assert "take memory, not disk" in note
    assert "--cache-dir" in note
    assert not stored_nodes(task)


def test_auto_is_float32_on_a_cpu_whatever_it_can_do(make_task, monkeypatch):
    module = sys.modules["autoplace.training._precision"]
    monkeypatch.setattr(module, "supports_bf16", lambda device: True)
    notes = []
    assert (make_task(notes.append).precision, notes) == ("float32", [])


def test_tf32_without_a_gpu_is_told_and_is_float32(make_task):
    notes = []
    assert make_task(notes.append, precision="tf32").precision == "float32"
    assert "no TF32" in notes[0]
