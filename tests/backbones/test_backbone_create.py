"""Backbones by name: the starter, the extra, the hub that is away, local checkpoints."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import torch

from autoplace.backbones import BackboneError, create_chain, list_backbones
from autoplace.backbones._registry import register_backbone
from autoplace.backbones._saliency import is_saliency_installed
from autoplace.backbones._shipped import ShippedBackbone

TINY = "test_vit"  # timm's own smallest: 6 blocks, 64 wide, 1000 classes


@pytest.fixture(scope="module")
def tiny_state():
    torch.manual_seed(0)
    return create_chain(TINY, pretrained=False).model.state_dict()


@pytest.fixture
def unreachable_hub(monkeypatch):
    def fail():
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "get_session", fail)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *args: None)


@pytest.mark.parametrize(
    ("name", "n_nodes", "dim"),
    [("starter", 25, 96), ("formula-vit6", 13, 128), ("fashion-vit8", 17, 64)],
)
def test_a_shipped_backbone_loads_and_matches_its_config(name, n_nodes, dim):
    folder = Path(str(resources.files("autoplace.backbones") / "shipped" / name))
    config = json.loads((folder / "config.json").read_text())
    weights = (folder / "weights.safetensors").read_bytes()
    assert len(weights) <= 8e6
    assert hashlib.sha256(weights).hexdigest() == config["sha256"]
    assert (folder / "card.md").read_text().startswith(f"# {name}\n")
    chain = create_chain(name)
    assert (chain.name, chain.n_nodes, chain.dim, chain.num_features) == (name, n_nodes, dim, dim)
    assert chain.data_config["input_size"] == (3, 32, 32)
    assert chain(torch.zeros(2, 3, 32, 32)).shape == (2, dim)


def test_the_starter_is_the_default():
    assert create_chain().name == "starter"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("vit_tinny_patch16_224", "'vit_tiny_patch16_224'"),
        ("startr", "'starter'"),
        ("vit_tiny_patch16_224.augreg_in21", "'vit_tiny_patch16_224.augreg_in21k'"),
    ],
)
def test_an_unknown_name_is_answered_with_near_names(name, near):
    with pytest.raises(BackboneError) as error:
        create_chain(name)
    assert f"unknown backbone {name!r}" in str(error.value)
    assert near in str(error.value)
    assert "'autoplace backbones' lists all" in str(error.value)


@pytest.mark.usefixtures("unreachable_hub")
def test_an_unreachable_hub_points_to_checkpoint_and_starter():
    with pytest.raises(BackboneError, match=r"no route to host(.|\n)*--checkpoint FILE.*'starter'"):
        create_chain(TINY)


@pytest.mark.usefixtures("unreachable_hub")
def test_a_model_without_published_weights_is_no_silent_random_model():
    with pytest.raises(BackboneError, match="cannot get the weights"):
        create_chain("test_vit4")


@pytest.mark.parametrize("form", ["safetensors", "plain torch", "trainer", "data parallel"])
def test_a_checkpoint_gives_the_weights_it_was_saved_from(form, tiny_state, tmp_path):
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pth")
    if form == "safetensors":
        safetensors.torch.save_file(tiny_state, path)
    elif form == "trainer":
        torch.save({"epoch": 3, "state_dict": tiny_state}, path)
    else:
        prefix = "module." if form == "data parallel" else ""
        torch.save({prefix + key: tensor for key, tensor in tiny_state.items()}, path)
    loaded = create_chain(TINY, checkpoint=path).model.state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in tiny_state.items())


@pytest.mark.parametrize("n_classes", [0, 7])
def test_a_checkpoint_may_lack_the_classifier_or_have_its_own(n_classes, tiny_state, tmp_path):
    state = {key: tensor for key, tensor in tiny_state.items() if not key.startswith("head.")}
    if n_classes:
        state |= {"head.weight": torch.ones(n_classes, 64), "head.bias": torch.ones(n_classes)}
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
    chain = create_chain(TINY, checkpoint=tmp_path / "weights.safetensors")
    images = torch.zeros(1, *chain.data_config["input_size"])
    assert chain(images).shape == (1, n_classes or 64)


def test_a_checkpoint_that_does_not_fit_is_refused_with_a_few_keys(tiny_state, tmp_path):
    state = {key: tensor for key, tensor in tiny_state.items() if not key.startswith("blocks.5")}
    state |= {"blocks.0.stranger": torch.zeros(1), "norm.weight": torch.zeros(3)}
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
    with pytest.raises(BackboneError) as error:
        create_chain(TINY, checkpoint=tmp_path / "weights.safetensors")
    message = str(error.value)
    assert "missing: blocks.5.attn.proj.bias, blocks.5.attn.proj.weight and 10 more" in message
    assert "unexpected: blocks.0.stranger" in message
    assert "norm.weight (3,), not (64,)" in message
    assert len(message.splitlines()) <= 2


def test_the_starter_takes_a_checkpoint_of_its_own_shape(tmp_path):
    state = create_chain(pretrained=False).model.state_dict()
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
    chain = create_chain(checkpoint=tmp_path / "weights.safetensors")
    assert torch.equal(chain.model.cls_token, state["cls_token"])


class Payload:
    """Would run code when unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("escaped"),))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", [1, 2], {"a": 1}, Payload()])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_that_holds_no_weights_is_refused(content, suffix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(BackboneError, match="weights"):
        create_chain(TINY, checkpoint=path)
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("path", ["missing.safetensors", "."])
def test_a_checkpoint_that_is_no_file_is_refused(path, tmp_path):
    with pytest.raises(BackboneError, match="does not exist or is not a file"):
        create_chain(TINY, checkpoint=tmp_path / path)


@pytest.mark.skipif(is_saliency_installed(), reason="the extra is installed")
def test_a_missing_extra_is_named():
    with pytest.raises(BackboneError, match=r"pip install 'autoplace\[saliency\]'"):
        create_chain("saliency-vits14")


@pytest.mark.skipif(not is_saliency_installed(), reason="needs the extra 'saliency'")
def test_the_saliency_backbone_is_the_graphs_own_computation():
    # Computed by an ONNX runtime from the package's own graph: the first channels of the class
    # token after the final norm, for this image.
    from_graph = [0.54834, 0.67037, 3.09922, -3.84054]
    chain = create_chain("saliency-vits14")
    assert (chain.n_nodes, chain.dim, chain.num_features) == (25, 384, 384)
    images = torch.linspace(-2, 2, 3 * 98 * 98).reshape(1, 3, 98, 98)
    features = chain(images)[0]
    assert features[:4].tolist() == pytest.approx(from_graph, abs=1e-4)


def test_the_listing_says_size_edges_and_source():
    starter, *_ = list_backbones("start*")
    assert (starter.n_nodes, starter.n_edges, starter.dim) == (25, 625, 96)
    assert (starter.input_size, starter.source) == ((3, 32, 32), "shipped")
    names = [info.name for info in list_backbones()]
    assert names[:4] == ["starter", "formula-vit6", "fashion-vit8", "saliency-vits14"]
    assert len(names) == len(set(names)) >= 17


def test_a_registered_backbone_cannot_be_overwritten():
    before = list_backbones("saliency*")
    with pytest.raises(ValueError, match="'saliency-vits14' is already registered"):
        register_backbone("saliency-vits14")(ShippedBackbone)
    assert list_backbones("saliency*") == before


def test_a_pattern_finds_any_timm_chain_and_nothing_that_is_none():
    names = [info.name for info in list_backbones("test_*")]
    assert {"test_vit", "test_vit2", "test_vit3"} <= set(names)
    assert "test_resnet" not in names
    assert list_backbones("no-such-*") == []
