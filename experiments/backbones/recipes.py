"""The recipe of each backbone that this project trains: architecture, images and questions.

They differ on purpose in depth, width and training images, so that effects of one backbone can be
distinguished from effects that all backbones share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """A backbone and its pre-training.

    Parameters
    ----------
    name : str
        Name of the backbone and of its folder in the package.
    version : int
        Raised whenever the recipe changes.
    depth, dim, heads : int
        Arguments of the timm VisionTransformer; it has n = 2 * depth + 1 nodes.
    clothes : float
        Share of Fashion-MNIST's classes among the objects; the rest is drawn by formula.
    questions : dict of str to float
        Weight of each loss: "class" and "pose" of the foremost object, and "maps", which show where
        each kind of object is.
    """

    name: str
    version: int
    depth: int
    dim: int
    heads: int
    clothes: float
    questions: dict[str, float] = field(default_factory=dict)

    @property
    def architecture(self) -> dict[str, Any]:
        """Return the arguments of timm's VisionTransformer."""
        return {
            "img_size": 32,
            "patch_size": 8,
            "embed_dim": self.dim,
            "depth": self.depth,
            "num_heads": self.heads,
            "mlp_ratio": 4.0,
            "qkv_bias": True,
            "class_token": True,
            "global_pool": "avg",
            "num_classes": 0,
        }


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("starter", 4, 12, 96, 3, 1 / 8, {"class": 1.0, "pose": 4.0, "maps": 20.0}),
        Recipe("formula-vit6", 1, 6, 128, 4, 0.0, {"class": 1.0}),
        Recipe("fashion-vit8", 1, 8, 64, 2, 1.0, {"class": 1.0, "pose": 4.0}),
    )
}
