"""Views of images can be reproduced, and what is not augmented is timm's own transform."""

from __future__ import annotations

import random
from dataclasses import fields

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform as create_timm_transform

from autoplace.data import Augmentation, create_transform
from autoplace.settings import InputSettings

(AUGMENT,) = (each for each in fields(InputSettings) if each.name == "augment")
KINDS = AUGMENT.metadata["choices"]
CONFIG = {"input_size": [3, 32, 32], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]}
ROWS = torch.tensor([4, 9, 2, 7, 5, 0])


@pytest.fixture(scope="module")
def pixels():
    """Pixels (10, 3, 32, 32)."""
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    images = [np.array(Image.fromarray(each).resize((32, 32))) for each in smooth]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def seen(pixels, kind, rows, view, seed=0, erasing=0.5):
    """Views of rows as training sees them."""
    augmentation = Augmentation(kind, seed=seed, erasing=erasing, data_config=CONFIG)
    images = augmentation.apply(pixels[rows], rows, view)
    assert images.dtype == torch.uint8
    return augmentation.erase(create_transform(CONFIG).normalise(images), rows, view)


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_depends_on_seed_number_and_image_only(pixels, kind):
    first = seen(pixels, kind, ROWS, view=3)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    again = torch.cat([seen(pixels, kind, row[None], view=3) for row in ROWS.flip(0)]).flip(0)
    assert first.equal(again)
    assert first.shape == (len(ROWS), 3, 32, 32)
    assert not first.equal(seen(pixels, kind, ROWS, view=4))
    assert not first.equal(seen(pixels, kind, ROWS, view=3, seed=1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_callers_random_states_are_left_alone(pixels, kind):
    states = []
    for make in (lambda: None, lambda: seen(pixels, kind, ROWS, view=0)):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        make()
        states.append((random.random(), np.random.random(), torch.rand(1).item()))
    assert states[0] == states[1]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_erased_unless_asked_for(pixels, kind):
    plain = seen(pixels, kind, ROWS, view=0, erasing=0.0)
    erased = seen(pixels, kind, ROWS, view=0, erasing=1.0)
    changed = (plain != erased).any(1).flatten(1)
    assert changed.any(1).all()
    assert not changed.all(1).any()
    if kind == "none":
        assert plain.equal(create_transform(CONFIG).normalise(pixels[ROWS]))


@pytest.mark.parametrize("size", [(32, 32), (50, 90), (31, 200)])
@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_without_augmentation_the_result_is_timms_own_bit_for_bit(size, mode):
    config = {**CONFIG, "interpolation": "bicubic", "crop_pct": 0.9, "crop_mode": mode}
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in config.items()}
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8))
    transform = create_transform(config)
    expected = create_timm_transform(**options, is_training=False)(image)
    assert transform(image).equal(expected)
    batch = torch.stack([transform.pixels(image)] * 3)
    assert batch.dtype == torch.uint8
    assert transform.normalise(batch).equal(torch.stack([expected] * 3))
