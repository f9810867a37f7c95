"""Checkpoints as they are published and saved by trainers: many wrappers, names and sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from timm.layers import resample_abs_pos_embed

from autoplace.backbones import create_chain
from autoplace.backbones._checkpoint import read_checkpoint
from tests.field._media_files import (
    POINTER,
    TINY,
    grey,
    heads,
    options,
    prefixed,
    random_like,
    resized,
    run,
    write_pictures,
)

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
        "teacher": prefixed(chunked(s), "backbone.") | {"dino_head.weight_g": o["norm.bias"]}
    },
    "MAE": lambda s, o: {"model": s | heads()},
    "MAE, a run": lambda s, o: {"model": s | heads(), "optimizer": {}, "args": options()},
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
    "open_clip": lambda s, o: prefixed(s, "visual.trunk.") | {"text.embedding": o["norm.bias"]},
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


# Positions before the grid in the file, and the backbone.
LAYOUTS = {
    "class token": (1, TINY),
    "no prefix": (0, TINY),
    "DINOv2 in timm": (0, REGISTERS),
    "a class position": (1, REGISTERS),
    "all prefix positions": (5, REGISTERS),
}


def small(backbone):
    """A model of an architecture with one narrow block, and weights for it."""
    size = 56 if "14" in backbone else 64
    model = timm.create_model(
        backbone, num_classes=0, img_size=size, depth=1, embed_dim=48, num_heads=3
    )
    torch.manual_seed(0)
    return model, random_like(model.state_dict())


def loaded_into(model, state, path):
    torch.save(state, path)
    checkpoint = read_checkpoint(path).fitted_to(model)
    checkpoint.load_into(model, name="small")
    return model.state_dict(), checkpoint.notes


@pytest.mark.parametrize("layout", LAYOUTS)
def test_positions_of_another_image_size_are_resampled_by_timm(layout, tmp_path):
    n_prefix, backbone = LAYOUTS[layout]
    model, mine = small(backbone)
    prefix, side = torch.randn(1, n_prefix, 48), 9
    state = resized(mine | {"pos_embed": prefix}, side, prefix=n_prefix)
    loaded, notes = loaded_into(model, state, tmp_path / "w.pth")
    grid = model.patch_embed.grid_size
    expected = resample_abs_pos_embed(
        state["pos_embed"][:, n_prefix:], new_size=list(grid), num_prefix_tokens=0
    )
    assert torch.equal(loaded["pos_embed"][:, -expected.shape[1] :], expected)
    # No token of the stream has another value than in the file.
    first = loaded["cls_token"] + (loaded["pos_embed"][:, :1] if backbone == TINY else 0)
    assert torch.allclose(first, mine["cls_token"] + (prefix[:, :1] if n_prefix else 0))
    if n_prefix == 5:
        assert torch.allclose(loaded["reg_token"], mine["reg_token"] + prefix[:, 1:])
    assert notes == (f"position embeddings resampled from {side**2 + n_prefix} to "
                     f"{loaded['pos_embed'].shape[1]} tokens",)  # fmt: skip


@pytest.mark.parametrize("extra", [{}, {"mask_token": torch.zeros(1, 48)}])
def test_dinov2_s_own_names_of_registers_are_converted(extra, tmp_path):
    model, mine = small(REGISTERS)
    class_position = torch.randn(1, 1, 48)
    theirs = dict(mine)
    theirs["register_tokens"] = theirs.pop("reg_token")
    theirs["pos_embed"] = torch.cat([class_position, theirs["pos_embed"]], dim=1)
    loaded, _ = loaded_into(model, theirs | extra, tmp_path / "w.pth")
    assert torch.equal(loaded["reg_token"], mine["reg_token"])
    assert torch.equal(loaded["cls_token"], mine["cls_token"] + class_position)
    assert torch.equal(loaded["pos_embed"], mine["pos_embed"])


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
