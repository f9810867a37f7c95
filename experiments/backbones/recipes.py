"""What each backbone that the project trains is made of: architecture, images, questions asked.

They differ on purpose in depth, width and what they were shown, so that what holds for a placement
on one of them can be told from what holds on all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """A backbone and its pre-training.

    Parameters
    ----------
    name : the backbone's name and that of its folder in the package.
    version : raised whenever the recipe changes.
    depth, dim, heads : the timm VisionTransformer's; n = 2 * depth + 1 nodes.
    clothes : share of Fashion-MNIST's classes among the objects; the rest is drawn by formula.
    questions : weight of each loss: "class" of the foremost object, its "pose", and the "maps" of
        where each kind of object is.
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
        """Arguments of timm's VisionTransformer."""
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
