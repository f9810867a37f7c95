"""The backbone and images that a benchmark runs on, as options and as fields."""

from __future__ import annotations

import argparse
from typing import Any

from autoplace.backbones import ResidualChain


def add_subject_options(parser: argparse.ArgumentParser, images: int) -> None:
    """Add options for the backbone, its weights, the images, the seed and JSON."""
    parser.add_argument("--backbone", default="starter", help="'starter' or a timm name")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--pretrained", action="store_true", default=True, help="the default")
    weights.add_argument("--random-weights", action="store_false", dest="pretrained")
    parser.add_argument("--data", default="builtin:shapes-orientation")
    parser.add_argument("--images", type=int, default=images)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def describe_subject(chain: ResidualChain, options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of a benchmark's document that describe the backbone and images."""
    return {
        "model": chain.name,
        "weights": "pretrained" if options.pretrained else "random",
        "n": chain.n_nodes,
        "dim": chain.dim,
        "input_size": list(chain.data_config["input_size"]),
        "data": options.data,
        "images": options.images,
        "batch": options.batch,
        "seed": options.seed,
    }
