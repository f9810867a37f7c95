"""A winner's folder gives the same model back, and a damaged one is refused."""

from __future__ import annotations

import json
import shutil

import pytest
import safetensors.torch
import torch

from autoplace.backbones import create_chain
from autoplace.errors import UserError
from autoplace.model import AdaptedModel, load_adapted, save_adapted
from autoplace.placement import Placement

PLACEMENT = "2>12+8>8+14>15+22>10@bottleneck:r=4;T=3"
CLASSES = ("ant", "bée", "cat")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = AdaptedModel(create_chain(), Placement.parse(PLACEMENT), CLASSES)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    return save_adapted(model, tmp_path_factory.mktemp("winner") / "new", "# a card\n")


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "winner")


def test_a_winner_read_back_gives_the_same_logits_bit_for_bit(model, saved):
    again = load_adapted(saved)
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(again(images), model(images))
    assert (again.placement, again.classes) == (model.placement, CLASSES)
    assert not again.training


def test_only_what_was_trained_is_stored_and_none_of_it_as_a_pickle(model, saved):
    assert {path.name for path in saved.iterdir()} == {
        "placement.json", "adapter.safetensors", "classes.json", "preprocessing.json", "card.md",
    }  # fmt: skip
    tensors = safetensors.torch.load_file(saved / "adapter.safetensors")
    trained = {name for name, each in model.named_parameters() if each.requires_grad}
    assert set(tensors) == trained
    described = json.loads((saved / "placement.json").read_text())
    assert described["placement"] == PLACEMENT
    assert described["backbone_sha256"] == model.chain.weights_sha256


def test_a_checkpoint_is_remembered_by_its_absolute_path_and_may_move(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = {name: tensor.contiguous() for name, tensor in model.chain.model.state_dict().items()}
    safetensors.torch.save_file(state, "weights.safetensors")
    chain = create_chain(checkpoint="weights.safetensors")
    copy = AdaptedModel(chain, model.placement, CLASSES)
    folder = save_adapted(copy, "winner", "# a card\n", checkpoint="weights.safetensors")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_adapted(tmp_path / folder).placement == model.placement
    (tmp_path / "weights.safetensors").rename(elsewhere / "moved.safetensors")
    with pytest.raises(UserError, match=r"weights\.safetensors"):
        load_adapted(tmp_path / folder)
    assert load_adapted(tmp_path / folder, checkpoint="moved.safetensors").classes == CLASSES


@pytest.mark.parametrize("name", ["placement.json", "adapter.safetensors", "classes.json"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00", b"[1"])
def test_a_winner_with_a_missing_or_damaged_file_is_refused(folder, name, content):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match="holds no complete winner"):
        load_adapted(folder)


def test_tensors_of_another_placement_or_other_classes_are_refused(folder):
    description = json.loads((folder / "placement.json").read_text())
    other = description | {"placement": "3>4@bottleneck:r=4"}
    (folder / "placement.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match="holds no complete winner"):
        load_adapted(folder)
    (folder / "placement.json").write_text(json.dumps(description))
    (folder / "classes.json").write_text(json.dumps(["ant", "bée"]))
    with pytest.raises(UserError, match="holds no complete winner"):
        load_adapted(folder)


def test_other_backbone_weights_than_those_of_training_are_refused(folder):
    description = json.loads((folder / "placement.json").read_text())
    (folder / "placement.json").write_text(json.dumps(description | {"backbone_sha256": "0" * 64}))
    with pytest.raises(UserError, match="other weights than this winner was trained on"):
        load_adapted(folder)
