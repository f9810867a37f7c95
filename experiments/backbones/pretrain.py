"""Pre-train a backbone of `recipes.py` on composed images, on one CPU core.

Linear heads on the average-pooled features, which a downstream head also reads, answer the recipe's
questions together: which objects an image shows, where they are, and the pose of the foremost one.
Only the backbone is kept, as a moving average of its weights.

    python experiments/backbones/pretrain.py starter --minutes 55 --cache banks.npz
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import safetensors
import timm
import torch
import torch.nn.functional as F
from compose import MAP, POSE, Composer, Composition
from formula_images import KINDS, render_banks
from recipes import RECIPES, Recipe
from safetensors.torch import load_file, save
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

DATA_CONFIG = {
    "input_size": [3, 32, 32],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "interpolation": "bicubic",
    "crop_pct": 1.0,
}
SHIPPED = Path(__file__).resolve().parents[2] / "autoplace" / "backbones" / "shipped"
WEIGHTS_FILE = "weights.safetensors"
CHECKPOINT_SECONDS = 300
WARM_UP = 0.03  # share of the run
EMA_DECAY = 0.999


class Pretrainer(nn.Module):
    """The backbone and its linear heads, which are discarded after training."""

    def __init__(self, recipe: Recipe, n_classes: int) -> None:
        super().__init__()
        self._questions = recipe.questions
        self.backbone = VisionTransformer(**recipe.architecture)
        dim = self.backbone.num_features
        self.classes = nn.Linear(dim, n_classes)
        self.maps = nn.Linear(dim, (1 + len(KINDS)) * MAP * MAP)
        self.pose = nn.Linear(dim, POSE)

    def losses(self, batch: Composition) -> dict[str, Tensor]:
        """Return mean losses of the questions; class and pose only where they are unambiguous."""
        tokens = self.backbone.forward_features(batch.images)
        features = self.backbone.forward_head(tokens, pre_logits=True)
        alone = features[batch.single]
        losses = {
            "class": F.cross_entropy(self.classes(alone), batch.classes[batch.single]),
            "pose": F.smooth_l1_loss(self.pose(alone), batch.pose[batch.single], beta=0.1),
            "maps": F.binary_cross_entropy_with_logits(self.maps(features), batch.maps.flatten(1)),
        }
        return {name: losses[name] for name in self._questions}


def load_banks(cache: Path, seed: int) -> dict[str, np.ndarray]:
    """Return the rendered banks, from `cache` if it exists."""
    if not cache.exists():
        np.savez(cache, **render_banks(seed))
    with np.load(cache) as archive:
        return {key: archive[key] for key in archive.files}


def learning_rate(progress: float, peak: float) -> float:
    """Return the rate: linear warm-up, then a cosine to a hundredth of the peak."""
    if progress < WARM_UP:
        return peak * progress / WARM_UP
    rest = (progress - WARM_UP) / (1 - WARM_UP)
    return peak * (0.01 + 0.99 * 0.5 * (1 + float(np.cos(np.pi * min(rest, 1.0)))))


def replace(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def save_backbone(folder: Path, recipe: Recipe, average: dict[str, Tensor], run: dict) -> None:
    """Write the weights, and the config with their checksum."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({key: value.contiguous() for key, value in average.items()})
    config = {
        "name": recipe.name,
        "architecture": recipe.architecture,
        "data_config": DATA_CONFIG,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "recipe": {
            "version": recipe.version,
            "script": "experiments/backbones/pretrain.py",
            "clothes": recipe.clothes,
            "questions": recipe.questions,
            **run,
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "timm": timm.__version__,
            "numpy": np.__version__,
            "safetensors": safetensors.__version__,
        },
    }
    replace(folder / WEIGHTS_FILE, weights)
    replace(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())


def main() -> None:
    """Parse options and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbone", choices=list(RECIPES))
    parser.add_argument("--minutes", type=float, default=55.0, help="wall time of the training")
    parser.add_argument("--batch-size", type=int, default=96)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--muon-learning-rate", type=float, default=4e-3)
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, required=True, help="file for the rendered banks")
    parser.add_argument("--resume", action="store_true", help="start from the shipped weights")
    parser.add_argument("--output", type=Path, default=SHIPPED)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    recipe = RECIPES[options.backbone]
    banks = load_banks(options.cache, options.seed)
    before = read_run(recipe) if options.resume else None
    # Use other images than the previous run.
    draws = options.seed + (before["steps"] if before else 0)
    composer = Composer(banks, recipe.clothes, draws)
    model = Pretrainer(recipe, composer.n_classes)
    if before:
        model.backbone.load_state_dict(load_file(SHIPPED / recipe.name / WEIGHTS_FILE))
    average = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    # Muon leaves the initial plateau of a ViT after far fewer images than AdamW.
    hidden = [p for p in model.backbone.blocks.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if all(p is not h for h in hidden)]
    optimizers = [
        torch.optim.Muon(
            hidden,
            weight_decay=options.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(others, weight_decay=options.weight_decay, betas=(0.9, 0.98)),
    ]
    peaks = [options.muon_learning_rate, options.learning_rate]

    start = saved = time.monotonic()
    budget = options.minutes * 60
    step, smooth = 0, dict.fromkeys(recipe.questions, float("nan"))
    while (progress := (time.monotonic() - start) / budget) < 1:
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = learning_rate(progress, peak)
        losses = model.losses(composer.draw(options.batch_size))
        model.zero_grad()
        sum(recipe.questions[name] * value for name, value in losses.items()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        step += 1
        decay = min(EMA_DECAY, step / (step + 10))
        with torch.no_grad():
            weights = list(model.backbone.state_dict().values())
            torch._foreach_lerp_(list(average.values()), weights, 1 - decay)
        for name, value in losses.items():
            old = smooth[name] if step > 1 else value.item()
            smooth[name] = 0.98 * old + 0.02 * value.item()
        if step % 100 == 0:
            shown = " ".join(f"{name} {value:.4f}" for name, value in smooth.items())
            print(f"{progress:6.1%} step {step} {shown}", flush=True)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            run = describe(options, step, progress, smooth, before)
            save_backbone(options.output / recipe.name, recipe, average, run)
    run = describe(options, step, 1.0, smooth, before)
    save_backbone(options.output / recipe.name, recipe, average, run)


def read_run(recipe: Recipe) -> dict:
    """Read how the shipped weights, from which a run continues, were made."""
    config = json.loads((SHIPPED / recipe.name / "config.json").read_text())
    return {**config["recipe"], "sha256": config["sha256"]}


def describe(
    options: argparse.Namespace,
    steps: int,
    progress: float,
    losses: dict[str, float],
    before: dict | None,
) -> dict:
    """Return the part of the config that describes how the weights were made."""
    return {
        "seed": options.seed,
        "steps": steps,
        "images": steps * options.batch_size,
        "progress": round(min(progress, 1.0), 3),
        "minutes": options.minutes,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "muon_learning_rate": options.muon_learning_rate,
        "weight_decay": options.weight_decay,
        "ema_decay": EMA_DECAY,
        "threads": options.threads,
        "training_losses": {name: round(value, 4) for name, value in losses.items()},
        **({"went_on_from": before} if before else {}),
    }


if __name__ == "__main__":
    main()
