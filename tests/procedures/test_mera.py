"""MerA: merged adapters, and the plans that hidden units are moved by."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoplace.backbones import create_chain
from autoplace.model import AdaptedModel
from autoplace.placement import Placement, PlacementError
from autoplace.procedures import check_mergeable, merge_adapters, transport_plan

CLASSES = ("cat", "dog")
# One edge of each kind that can be merged; LoRA inside attention and inside an MLP.
PLACEMENTS = (
    "7>3+0>5@bottleneck:r=6",
    "4>4+2>9@linear:r=6",
    "3>4+2>9@adaptformer:r=6",
    "4>4+7>3@adapter-plus:r=6",
    "2>3+3>4@lora:r=6",
    "2>3@lora:maps=qkv,r=6",
    "7>3@bottleneck:r=6+2>3@lora:r=4",
)
STREAM = PLACEMENTS[:4]


@pytest.fixture(scope="module")
def chain():
    return create_chain("starter")


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def trained(chain):
    """Makes models whose adapters have weights as after training: none is zero."""

    def make(text: str, seed: int = 0) -> AdaptedModel:
        torch.manual_seed(seed)
        model = AdaptedModel(chain, Placement.parse(text), CLASSES).eval()
        with torch.no_grad():
            for parameter in model.adapters.parameters():
                parameter.normal_(0, 0.2)
        return model

    return make


@pytest.fixture(scope="module")
def tokens():
    generator = torch.Generator().manual_seed(1)
    return {node: torch.randn(60, 96, generator=generator) for node in range(25)}


def permuted(model: AdaptedModel, seed: int) -> AdaptedModel:
    """The same function with the hidden units of each layer in another order."""
    generator = torch.Generator().manual_seed(seed)
    twin = AdaptedModel(model.chain, model.placement, model.classes).eval()
    state = model.trainable_state()
    for name, tensor in list(state.items()):
        if not name.endswith(("up.weight", ".b")) or name.startswith("head"):
            continue
        order = torch.randperm(tensor.shape[1], generator=generator)
        state[name] = tensor[:, order]
        stem = name.removesuffix("up.weight").removesuffix(".b")
        for read in ("down.weight", "down.bias", ".a"):
            if stem + read in state:
                state[stem + read] = state[stem + read][order]
    twin.load_trainable_state(state)
    return twin


def with_adapters(model: AdaptedModel, adapters: dict[str, torch.Tensor]) -> AdaptedModel:
    merged = AdaptedModel(model.chain, model.placement, model.classes).eval()
    merged.load_trainable_state(model.trainable_state() | adapters)
    return merged


@torch.no_grad()
def largest_difference(one: AdaptedModel, other: AdaptedModel, images: torch.Tensor) -> float:
    return float((one(images) - other(images)).abs().max())


@pytest.mark.parametrize("text", PLACEMENTS)
@pytest.mark.parametrize("method", ["transport", "average"])
def test_an_adapter_merged_with_itself_is_itself(trained, images, text, method):
    model = trained(text)
    merged = merge_adapters([model, model, model], method=method)
    assert largest_difference(model, with_adapters(model, merged), images) < 1e-4
    for name, tensor in merged.items():
        if "adapter-plus" not in text:  # whose scale is in the second matrix afterwards
            torch.testing.assert_close(tensor, model.trainable_state()[name], rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("text", "cost"),
    # Activations inside a sub-layer are not read.
    [*((text, "weights") for text in PLACEMENTS), *((text, "activations") for text in STREAM)],
)
def test_an_adapter_merged_with_its_permuted_self_computes_the_same(
    trained, images, tokens, text, cost
):
    model = trained(text)
    twin = permuted(model, seed=3)
    assert largest_difference(model, twin, images) < 1e-4
    merged = merge_adapters([model, twin], cost=cost, tokens=tokens)
    assert largest_difference(model, with_adapters(model, merged), images) < 1e-4
    average = merge_adapters([model, twin], method="average")
    assert largest_difference(model, with_adapters(model, average), images) > 1e-2


@pytest.mark.parametrize("text", STREAM)
def test_sinkhorn_finds_the_permutation_of_units_that_differ_clearly(trained, images, text):
    model = trained(text)
    merged = merge_adapters([model, permuted(model, seed=3)], solver="sinkhorn")
    assert largest_difference(model, with_adapters(model, merged), images) < 1e-2


@settings(max_examples=30)
@given(
    units=st.integers(1, 9),
    anchors=st.integers(1, 9),
    solver=st.sampled_from(["exact", "sinkhorn"]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    seed=st.integers(0, 100),
)
def test_rows_and_columns_of_a_plan_have_equal_mass(units, anchors, solver, scale, seed):
    cost = scale * np.random.default_rng(seed).random((units, anchors))
    plan = transport_plan(cost, solver)
    assert (plan >= 0).all()
    assert plan.sum(1) == pytest.approx(np.full(units, 1 / units), abs=1e-12)
    assert plan.sum(0) == pytest.approx(np.full(anchors, 1 / anchors), abs=1e-12)


def test_sinkhorn_costs_little_more_than_the_exact_plan():
    cost = np.random.default_rng(0).random((8, 8))
    exact, sinkhorn = (float((transport_plan(cost, s) * cost).sum()) for s in ("exact", "sinkhorn"))
    assert exact <= sinkhorn <= exact + 0.05


@pytest.mark.parametrize("text", PLACEMENTS)
def test_a_merged_adapter_has_as_many_parameters_as_one(trained, text):
    models = [trained(text, seed) for seed in range(3)]
    merged = merge_adapters(models)
    expected = {
        name: tensor.shape
        for name, tensor in models[0].trainable_state().items()
        if not name.startswith("head.")
    }
    assert {name: tensor.shape for name, tensor in merged.items()} == expected


@pytest.mark.parametrize("text", STREAM)
def test_with_other_ranks_the_first_gives_the_rank_and_the_written_sum_stays(trained, text):
    small = trained(text.replace("r=6", "r=4"), 0)
    large = trained(text, 1)
    merged = merge_adapters([small, large])
    for name, tensor in merged.items():
        assert tensor.shape == small.trainable_state()[name].shape
        if name.endswith("up.weight"):
            scale = name.replace("up.weight", "gamma")
            states = [model.trainable_state() for model in (small, large)]
            written = [state[name].sum(1) * state.get(scale, 1) for state in states]
            torch.testing.assert_close(tensor.sum(1), sum(written) / 2, rtol=1e-4, atol=1e-5)


def test_units_that_were_split_in_two_are_put_together(trained, images):
    model, twice = trained("7>3@bottleneck:r=3"), trained("7>3@bottleneck:r=6")
    state = model.trainable_state()
    state["adapters.7>3.up.weight"] = state["adapters.7>3.up.weight"].repeat(1, 2) / 2
    for name in ("down.weight", "down.bias"):
        key = f"adapters.7>3.{name}"
        state[key] = torch.cat([state[key], state[key]])
    twice.load_trainable_state(state)
    merged = merge_adapters([model, twice])
    assert largest_difference(model, with_adapters(model, merged), images) < 1e-4


def test_lora_of_another_rank_keeps_its_own_scale(trained, images):
    small, large = trained("2>3@lora:maps=qkv,r=3"), trained("2>3@lora:maps=qkv,r=6")
    # The large one has the units of the small one, each twice at half the weight. Its alpha / r
    # is half that of the small one, so its second matrix is twice as large.
    state = small.trainable_state()
    a, b = (state[f"adapters.2>3.qkv.{name}"] for name in "ab")
    large.load_trainable_state(
        state
        | {"adapters.2>3.qkv.a": torch.cat([a, a]), "adapters.2>3.qkv.b": torch.cat([b, b], 1)}
    )
    assert largest_difference(small, large, images) < 1e-4
    merged = merge_adapters([small, large])
    assert largest_difference(small, with_adapters(small, merged), images) < 1e-4


def test_the_sum_is_the_average_times_the_number_of_models(trained):
    models = [trained(PLACEMENTS[0], seed) for seed in range(3)]
    total = merge_adapters(models, method="sum")
    average = merge_adapters(models, method="average")
    for name, tensor in total.items():
        torch.testing.assert_close(tensor, 3 * average[name])


@pytest.mark.parametrize(
    ("texts", "options", "told"),
    [
        (["7>3"], {}, "at least two"),
        (["head-only", "head-only"], {}, "head-only"),
        (["7>3", "7>4"], {}, "different placements"),
        (["7>3", "7>3;T=3"], {}, "different placements"),
        (["7>3@bottleneck:r=2", "7>3@linear:r=2"], {}, "different kinds"),
        (["2>3@lora:maps=q", "2>3@lora:maps=v"], {}, "different kinds"),
        (["2>3@ssf", "2>3@ssf"], {}, "'ssf' cannot be merged"),
        (["7>3@bottleneck:act=rational"] * 2, {}, "with their own act"),
        (["7>3@linear:r=2", "7>3@linear:r=4"], {"method": "average"}, "different ranks"),
        (["7>3@linear:r=2", "7>3@linear:r=4"], {"method": "sum"}, "different ranks"),
        (["2>3@lora:r=2", "2>3@lora:r=2"], {"cost": "activations"}, "match them by weights"),
    ],
)
def test_what_cannot_be_merged_is_refused(trained, texts, options, told):
    given = {"method": "transport", "cost": "weights"} | options
    with pytest.raises(PlacementError, match=told) as refused:
        check_mergeable([trained(text) for text in texts], **given)
    assert len(str(refused.value).splitlines()) <= 2


def test_adapters_of_other_backbones_are_refused(trained):
    other = AdaptedModel(create_chain("formula-vit6"), Placement.parse("7>3"), CLASSES)
    with pytest.raises(PlacementError, match="different backbones"):
        check_mergeable([trained("7>3"), other], "transport", "weights")
