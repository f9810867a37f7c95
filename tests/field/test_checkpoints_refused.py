"""Checkpoints that cannot be used: the error names what they are and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from autoplace.backbones import BackboneError, create_chain
from tests.field._media_files import FOLDER, POINTER, TINY, options, prefixed


@pytest.fixture(scope="module")
def state():
    return timm.create_model(TINY, num_classes=0).state_dict()


@pytest.fixture
def load(tmp_path):
    """Saves a checkpoint and loads it into a backbone."""

    def saved_and_loaded(content):
        torch.save(content, tmp_path / "weights.pth")
        return create_chain(TINY, checkpoint=tmp_path / "weights.pth")

    return saved_and_loaded


REFUSED = {
    "a pointer": (POINTER.encode(), "pointer of Git LFS.*git lfs pull"),
    "a web page": (b"\n<!DOCTYPE html><html>", "web page"),
    "nothing": (b"", "is empty"),
    "an archive": (b"\x1f\x8b\x08 rest", "compressed archive; unpack it"),
    "part of a torch file": (b"PK\x03\x04 rest", "damaged or incomplete"),
    "part of a safetensors file": (b'\x40\0\0\0\0\0\0\0{"a":', "safetensors"),
    "an index": (b'{"metadata": {}, "weight_map": {}}', "index of weights in several files"),
    "Keras": (b"\x89HDF\r\n\x1a\n", "HDF5"),
}


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("case", REFUSED)
def test_files_without_weights_are_named_for_what_they_are(case, suffix, tmp_path):
    content, reason = REFUSED[case]
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    with pytest.raises(BackboneError, match=reason) as error:
        create_chain(TINY, checkpoint=path)
    assert len(str(error.value).splitlines()) <= 2


def test_other_archives_are_named(tmp_path, state):
    np.savez(tmp_path / "jax.npz", a=np.zeros(2))
    with pytest.raises(BackboneError, match="NumPy arrays"):
        create_chain(TINY, checkpoint=tmp_path / "jax.npz")
    (tmp_path / "hub").mkdir()
    safetensors.torch.save_file(state, tmp_path / "hub" / "model.safetensors")
    with pytest.raises(BackboneError, match=r"not a file; did you mean '.*model\.safetensors'"):
        create_chain(TINY, checkpoint=tmp_path / "hub")


class Runs:
    """Would run code when unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("escaped"),))


UNSAFE = {
    "a path in args": ({"args": options(out=FOLDER)}, "its 'args' holds pathlib.PurePosixPath"),
    "code in args": ({"args": options(out=Runs())}, "its 'args' holds pathlib.Path.touch"),
    "a scheduler": ({"scheduler": Runs()}, "its 'scheduler' holds"),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_what_only_unpickling_could_read_is_refused_and_named(
    case, state, load, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    extra, reason = UNSAFE[case]
    with pytest.raises(BackboneError) as error:
        load({"epoch": 1, **extra, "state_dict": state})
    assert reason.split(".")[0] in str(error.value)
    assert "torch.save(checkpoint['state_dict'], 'weights.pth')" in str(error.value)
    assert not Path("escaped").exists()


def test_a_whole_model_is_refused(load):
    with pytest.raises(BackboneError, match=r"not only weights(.|\n)*torch.save\(model.state_dict"):
        load(torch.nn.Linear(2, 2))


MISFITS = {
    "no final norm": (lambda s: {k: v for k, v in s.items() if not k.startswith("norm.")},
                      "missing: norm.bias, norm.weight"),
    "a missing block": (lambda s: {k: v for k, v in s.items() if "blocks.5" not in k},
                        "missing: blocks.5.attn.proj.bias"),
    "another patch size": (lambda s: s | {"patch_embed.proj.weight": torch.ones(64, 3, 8, 8)},
                           r"\(64, 3, 8, 8\), not \(64, 3, 16, 16\)"),
    "other channels": (lambda s: s | {"patch_embed.proj.weight": torch.ones(64, 13, 16, 16)},
                       r"\(64, 13, 16, 16\)"),
    "more of the chain": (lambda s: s | {"blocks.0.attn.q_norm.weight": torch.ones(8)},
                          "unexpected: blocks.0.attn.q_norm.weight"),
    "a stream with another token": (lambda s: s | {"dist_token": torch.ones(1, 1, 64)},
                                    "unexpected: dist_token"),
    "integers": (lambda s: s | {"blocks.0.mlp.fc1.weight": torch.ones(256, 64, dtype=torch.int8)},
                 "quantised: blocks.0.mlp.fc1.weight"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_a_file_that_lacks_part_of_the_chain_is_refused(case, state, load):
    change, reason = MISFITS[case]
    with pytest.raises(BackboneError, match=reason) as error:
        load(change(state))
    assert len(str(error.value).splitlines()) <= 2


def test_the_best_fitting_backbone_is_named(state, load):
    for content, best in (
        (create_chain("formula-vit6").model.state_dict(), "formula-vit6"),
        (timm.create_model("vit_tiny_patch16_224").state_dict(), "vit_tiny_patch16_224"),
        (timm.create_model("vit_small_patch14_dinov2").state_dict(), "vit_small_patch14_dinov2"),
    ):
        with pytest.raises(BackboneError, match=f"the shapes of backbone '{best}' fit best"):
            load(content)


def test_files_of_other_libraries_and_networks_are_named(load):
    theirs = {f"encoder.layer.{i}.output.dense.weight": torch.ones(4, 4) for i in range(2)}
    with pytest.raises(BackboneError, match="library transformers"):
        load(theirs)
    with pytest.raises(BackboneError, match="no known backbone has such shapes"):
        load({"conv1.weight": torch.ones(8, 3, 7, 7), "fc.weight": torch.ones(2, 8)})


def test_lora_weights_are_not_dropped_in_silence(state, load):
    lora = {"blocks.0.attn.qkv.lora_A.default.weight": torch.ones(2, 64)}
    with pytest.raises(BackboneError, match=r"LoRA.*merge_and_unload"):
        load(prefixed(state | lora, "base_model.model."))
