"""Checkpoints as they are published and saved by trainers: many wrappers, names and sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from timm.layers import resample_abs_pos_embed

from autoplace.backbones import BackboneError, create_chain
from tests.field._media_files import (
    FOLDER,
    grey,
    heads,
    options,
    prefixed,
    random_like,
    resized,
    run,
    write_pictures,
)

TINY = "test_vit"  # timm's own smallest: 6 blocks, 64 wide, 1000 classes
REGISTERS = "vit_small_patch14_reg4_dinov2"


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    whole = timm.create_model(TINY, num_classes=0).state_dict()
    return {key: torch.randn_like(tensor) / 10 for key, tensor in whole.items()}


@pytest.fixture
def load(tmp_path):
    """Saves a checkpoint and loads it into a backbone."""

    def saved_and_loaded(content, backbone=TINY, name="weights.pth"):
        path = tmp_path / name
        if name.lower().endswith(".safetensors"):
            safetensors.torch.save_file({k: v.contiguous() for k, v in content.items()}, path)
        else:
            torch.save(content, path)
        return create_chain(backbone, checkpoint=path)

    return saved_and_loaded


def same(chain, state):
    loaded = chain.model.state_dict()
    return loaded.keys() == state.keys() and all(
        torch.equal(loaded[k], v) for k, v in state.items()
    )


def chunked(state):
    """Name blocks as DINOv2's trainer does: four in a chunk, each with its own number."""
    out = {}
    for key, tensor in state.items():
        parts = key.split(".")
        if parts[0] == "blocks":
            parts.insert(1, str(int(parts[1]) // 4))
        out[".".join(parts)] = tensor
    return out


# What is saved, from weights s and others o of the same shapes; s must be loaded.
WRAPPED = {
    "DINO, the backbone": lambda s, o: s,
    "DINO, a run": lambda s, o: {
        "student": prefixed(o, "module.backbone.") | heads("module."),
        "teacher": prefixed(s, "backbone.") | heads(),
        "epoch": 100,
        "args": options(),
    },
    "DINOv2, the backbone": lambda s, o: s | {"mask_token": torch.zeros(1, 64)},
    "DINOv2, a teacher in chunks": lambda s, o: {
        "teacher": prefixed(chunked(s), "backbone.") | {"dino_head.last_layer.weight_g": o["norm.bias"]}
    },
    "MAE": lambda s, o: {"model": s | heads()},
    "MAE, a run": lambda s, o: {"model": s | heads(), "optimizer": {"state": {}}, "args": options()},
    "timm's trainer": lambda s, o: {
        "epoch": 3, "arch": TINY, "state_dict": o, "state_dict_ema": s, "args": options(),
    },
    "timm's trainer without averaging": lambda s, o: {"state_dict": s, "args": options()},
    "DeiT": lambda s, o: {"model": o, "model_ema": s, "scaler": {}},
    "no average": lambda s, o: {"model": s, "model_ema": None},
    "data parallel": lambda s, o: prefixed(s, "module."),
    "compiled": lambda s, o: {"state_dict": prefixed(s, "_orig_mod.")},
    "compiled block by block": lambda s, o: {
        k.replace("blocks.1.", "blocks.1._orig_mod."): v for k, v in s.items()
    },
    "Lightning": lambda s, o: {
        "state_dict": prefixed(s, "model.backbone.") | {"criterion.weight": torch.ones(2)},
        "hyper_parameters": {"lr": 0.1},
    },
    "PEFT": lambda s, o: {
        "base_model.model." + k.replace("norm1.", "norm1.base_layer."): v for k, v in s.items()
    },
    "all of them": lambda s, o: prefixed(s, "module._orig_mod.base_model.model.backbone."),
    "two networks in one": lambda s, o: prefixed(o, "student_backbone.")
    | prefixed(s, "teacher_backbone."),
    "open_clip": lambda s, o: prefixed(s, "visual.trunk.") | {"text.token_embedding": o["norm.bias"]},
    "doubly wrapped": lambda s, o: {"model": {"state_dict": s}, "iteration": 1},
    "half precision": lambda s, o: {k: v.half() for k, v in s.items()},
}  # fmt: skip
FLAT = ("DINOv2, the backbone", "data parallel", "PEFT", "all of them", "two networks in one")


@pytest.mark.parametrize("case", WRAPPED)
def test_published_files_load(case, state, load):
    content = WRAPPED[case](state, random_like(state))
    expected = {k: v.half().float() for k, v in state.items()} if "half" in case else state
    assert same(load(content), expected)


@pytest.mark.parametrize("case", FLAT)
@pytest.mark.parametrize("suffix", ["safetensors", "SafeTensors"])
def test_safetensors_are_read_as_torch_files_are(case, suffix, state, load):
    content = WRAPPED[case](state, random_like(state))
    assert same(load(content, name=f"weights.{suffix}"), state)


@pytest.mark.parametrize("name", ["WEIGHTS.PTH", "weights.bin", "weights.ckpt", "weights"])
def test_any_suffix_will_do(name, state, load):
    assert same(load(state, name=name), state)


def test_contents_decide_not_the_suffix(state, tmp_path):
    torch.save(state, tmp_path / "a.safetensors")
    safetensors.torch.save_file(state, tmp_path / "b.pth")
    for name in ("a.safetensors", "b.pth"):
        assert same(create_chain(TINY, checkpoint=tmp_path / name), state)


def test_torch_s_old_format_is_read(state, tmp_path):
    path = tmp_path / "old.pth"
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=False)
    assert same(create_chain(TINY, checkpoint=path), state)


# Tokens before the grid in the file, whether the model has positions for its own.
LAYOUTS = {"class token": (1, TINY), "no prefix": (0, TINY), "DINOv2 in timm": (0, REGISTERS),
           "a class position": (1, REGISTERS), "all prefix positions": (5, REGISTERS)}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_positions_of_another_image_size_are_resampled_by_timm(layout, load):
    n_prefix, backbone = LAYOUTS[layout]
    small = {"img_size": 56} if backbone == REGISTERS else {}
    torch.manual_seed(0)
    model = timm.create_model(backbone, num_classes=0, **small)
    mine = {k: torch.randn_like(v) / 10 for k, v in model.state_dict().items()}
    dim, side = mine["cls_token"].shape[-1], 5
    prefix = torch.randn(1, n_prefix, dim)
    state = resized(mine | {"pos_embed": prefix}, side, prefix=n_prefix)
    chain = load(state, backbone)
    loaded, grid = chain.model.state_dict(), chain.model.patch_embed.grid_size
    expected = resample_abs_pos_embed(
        state["pos_embed"][:, n_prefix:], new_size=list(grid), num_prefix_tokens=0
    )
    assert torch.equal(loaded["pos_embed"][:, -expected.shape[1] :], expected)
    # No token of the stream has another value than in the file.
    first = loaded["cls_token"] + (loaded["pos_embed"][:, :1] if backbone == TINY else 0)
    assert torch.allclose(first, mine["cls_token"] + (prefix[:, :1] if n_prefix else 0))
    if backbone == REGISTERS and n_prefix == 5:
        assert torch.allclose(loaded["reg_token"], mine["reg_token"] + prefix[:, 1:])
    assert f"resampled from {side**2 + n_prefix} to" in chain.notes[-1]


def test_dinov2_s_own_names_of_registers_are_converted(load):
    torch.manual_seed(0)
    model = timm.create_model(REGISTERS, num_classes=0)
    timm_state = model.state_dict()
    class_position = torch.randn(1, 1, 384)
    theirs = dict(timm_state)
    theirs["register_tokens"] = theirs.pop("reg_token")
    theirs["pos_embed"] = torch.cat([class_position, theirs["pos_embed"]], dim=1)
    for extra in ({}, {"mask_token": torch.zeros(1, 384)}):
        loaded = load(theirs | extra, REGISTERS).model.state_dict()
        assert torch.equal(loaded["reg_token"], timm_state["reg_token"])
        assert torch.equal(loaded["cls_token"], timm_state["cls_token"] + class_position)


def test_what_is_left_out_is_said(state, load):
    chain = load({"state_dict": state | heads(), "state_dict_ema": state | heads()})
    said = "; ".join(chain.notes)
    assert "averaged weights ('state_dict_ema')" in said
    for part in ("mask_token", "decoder_embed", "decoder_blocks"):
        assert part in said
    assert load(state).notes == ()


@pytest.mark.parametrize("head", ["head.mlp.0.weight", "fc.weight", "classifier.weight"])
def test_heads_of_other_kinds_are_left_out(head, state, load):
    assert same(load(state | {head: torch.ones(5, 64)}), state)
    assert same(load(state | {"head.weight": torch.ones(5, 9), "head.bias": torch.ones(5)}), state)


def test_the_run_says_what_was_left_out(state, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    root = write_pictures(tmp_path / "grey", "png", grey(np.uint8))
    own = create_chain("fashion-vit8", pretrained=False).model.state_dict()
    torch.save({"model": prefixed(own | {"mask_token": torch.zeros(1)}, "module.")}, "w.PTH")
    common = ("pick", root, "--backbone", "fashion-vit8", "--dry-run", "--checkpoint")
    code, _, err = run(capsys, *common, "w.PTH")
    assert code == 0, err
    assert "checkpoint: left out: mask_token (1 tensor)" in err
    Path("pointer.safetensors").write_text(POINTER)
    code, _, err = run(capsys, *common, "pointer.safetensors")
    assert code == 2
    assert "git lfs pull" in err


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 345678901\n"
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
    assert "torch.save(c['state_dict'], 'weights.pth')" in str(error.value)
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
