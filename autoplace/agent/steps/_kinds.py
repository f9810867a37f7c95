"""Which adapter kinds compete, in which variants, and as which baselines."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autoplace.adapters import adapter_config, is_inside
from autoplace.backbones import SubLayer
from autoplace.placement import AdapterSpec, PlacementError

AUTO = "auto"
# The kinds that `auto` varies: each costs a search for its learning rate.
AUTO_KINDS = ("bottleneck", "lora", "arc", "adapterbias")
# LoRA as PEFT's users have it: one change of the queries, keys and values together.
LORA_QKV = AdapterSpec.of("lora", maps="qkv")


@dataclass(frozen=True)
class Variant:
    """Kind and options for adapters in attention and in MLPs; None where there are none.

    Attributes
    ----------
    name : str
        Short name, for `chosen_by`.
    attention, mlp : AdapterSpec or None
        What is put inside each sub-layer of this type, without a rank.
    """

    name: str
    attention: AdapterSpec | None
    mlp: AdapterSpec | None

    def at(self, sublayer: SubLayer) -> AdapterSpec | None:
        """What is put inside a sub-layer."""
        return self.attention if sublayer is SubLayer.ATTENTION else self.mlp


def read_kinds(text: str) -> tuple[AdapterSpec, ...]:
    """Read `--adapter`: `auto`, or a kind with its options.

    Raises
    ------
    PlacementError
        The text cannot be read, the kind or an option is unknown, or a rank is given.

    Examples
    --------
    >>> [str(spec) for spec in read_kinds("auto")]
    ['bottleneck', 'lora', 'arc', 'adapterbias']
    >>> [str(spec) for spec in read_kinds("lora:maps=qkv")]
    ['lora:maps=qkv']
    """
    if text.strip() == AUTO:
        return tuple(AdapterSpec(kind) for kind in AUTO_KINDS)
    spec = AdapterSpec.parse(text)
    config = adapter_config(spec)
    if "r" in dict(spec.options):
        raise PlacementError(
            f"--adapter {text} gives a rank, but the parameter budget sets the ranks; leave r out "
            "and use --rank, --edges or --max-params"
        )
    # An option that is given its default is as if it were not given.
    usual = type(config)()
    changed = {name for name, _ in spec.options if getattr(config, name) != getattr(usual, name)}
    spec = replace(spec, options=tuple(each for each in spec.options if each[0] in changed))
    return (spec,)


def variants(spec: AdapterSpec) -> list[Variant]:
    """List what a search tries for a kind inside sub-layers.

    Options that the user gave are kept; LoRA's maps vary if they are not given.

    Examples
    --------
    >>> [variant.name for variant in variants(AdapterSpec("lora"))][:3]
    ['qkv', 'qv', 'qkvo']
    >>> [variant.name for variant in variants(AdapterSpec.of("lora", maps="u"))]
    ['u']
    """
    assert is_inside(spec), f"{spec} is not inside a sub-layer"
    options = dict(spec.options)
    if spec.kind != "lora":
        return [Variant("both", spec, spec), Variant("attention", spec, None),
                Variant("mlp", None, spec)]  # fmt: skip
    if "maps" in options and options["maps"] != "auto":
        maps = str(options["maps"])
        inside_attention = set(maps) <= set("qkvo")
        return [Variant(maps, spec if inside_attention else None,
                        None if inside_attention else spec)]  # fmt: skip

    def lora(maps: str | None) -> AdapterSpec | None:
        return None if maps is None else AdapterSpec.of("lora", **(options | {"maps": maps}))

    pairs = (
        ("qkv", None), ("qv", None), ("qkvo", None), (None, "u"), (None, "ud"),
        ("qkv", "u"), ("qv", "u"), ("qkvo", "ud"),
    )  # fmt: skip
    return [
        Variant("+".join(maps for maps in pair if maps), lora(pair[0]), lora(pair[1]))
        for pair in pairs
    ]
