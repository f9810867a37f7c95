"""The bottleneck family: activations, scales, drop path, and what each kind reads and starts at."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional

from autoplace.adapters import AdapterPlus, AdaptFormer, Bottleneck, check_adapters, create_adapter
from autoplace.adapters._activation import activate
from autoplace.backbones import BackboneShape, create_chain
from autoplace.model import AdaptedModel, Alone, Population, frozen_activations
from autoplace.placement import AdapterSpec, Edge, Placement, PlacementError

SHAPE, EDGE = BackboneShape.plain(dim=12), Edge(1, 2)


def new(text, seed=0):
    torch.manual_seed(seed)
    return create_adapter(AdapterSpec.parse(text), EDGE, SHAPE)


def awake(text, seed=0):
    adapter = new(text, seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return adapter


@pytest.fixture
def hidden():
    return 3 * torch.randn(4, 5, 12, generator=torch.Generator().manual_seed(1)) + 1


def test_the_plain_bottleneck_has_the_weights_and_bits_that_stored_winners_have(hidden):
    adapter = awake("bottleneck:r=3")
    assert list(adapter.state_dict()) == ["down.weight", "down.bias", "up.weight"]
    torch.manual_seed(0)
    first = torch.nn.Linear(12, 3)
    torch.manual_seed(0)
    assert torch.equal(new("bottleneck:r=3").down.weight, first.weight)
    rows = functional.layer_norm(hidden, (12,)).flatten(0, 1)[None]
    narrow = torch.baddbmm(adapter.down.bias[None, None], rows, adapter.down.weight[None].mT)
    expected = functional.gelu(narrow) @ adapter.up.weight[None].mT
    assert torch.equal(adapter(hidden), expected.view_as(hidden))
    assert str(Placement.parse("1>2@bottleneck:r=8")) == "1>2@bottleneck:r=8"


@pytest.mark.parametrize(
    ("act", "function"),
    [
        ("gelu", functional.gelu),
        ("relu", functional.relu),
        ("quickgelu", lambda x: x * torch.sigmoid(1.702 * x)),
    ],
)
def test_a_bottleneck_uses_the_activation_and_the_scale_that_are_asked_for(hidden, act, function):
    adapter = awake(f"bottleneck:act={act},r=3,scale=4")
    narrow = function(adapter.down(functional.layer_norm(hidden, (12,))))
    torch.testing.assert_close(adapter(hidden), 4 * adapter.up(narrow))


def rational(a, b, x):
    given = {"act.a": torch.tensor([a]), "act.b": torch.tensor([b])}
    return activate(given, "rational", x[None, None])[0, 0]


def test_the_rational_activation_is_the_ratio_of_the_paper():
    a, b = [0.3, -1.2, 0.5, 0.1, -0.2, 0.05], [0.7, -0.4, 0.2, -0.1]
    x = torch.linspace(-3, 3, 13)
    above = sum(c * x**i for i, c in enumerate(a))
    below = 1 + sum((c * x**j).abs() for j, c in enumerate(b, start=1))
    torch.testing.assert_close(rational(a, b, x), above / below)


def test_the_rational_activation_starts_at_one_everywhere():
    adapter = new("bottleneck:act=rational,r=3")
    x = torch.linspace(-100, 100, 7)
    found = rational(adapter.act.a.tolist(), adapter.act.b.tolist(), x)
    assert torch.equal(found, torch.ones(7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_rational_activation_is_finite_far_out_and_in_half_precision(dtype):
    x = torch.tensor([-1e3, -1.0, 0.0, 1.0, 1e3], dtype=dtype)
    found = rational([0.1, 1.0, 0.5, 0.1, 0.0, 1e-3], [0.0, 0.5, 0.0, 1.0], x)
    assert found.dtype == dtype
    assert found.isfinite().all()


def test_all_ten_coefficients_and_both_matrices_learn_from_the_second_step_on(hidden):
    adapter = new("bottleneck:act=rational,r=3")
    optimiser = torch.optim.SGD(adapter.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (adapter(hidden) - hidden).pow(2).mean().backward()
        optimiser.step()
    assert adapter.act.a.grad.abs().min() > 0
    assert adapter.act.b.grad.abs().min() > 0
    assert (adapter.act.b != 0).all()
    optimiser.zero_grad()
    (adapter(hidden) - hidden).pow(2).mean().backward()
    assert adapter.down.weight.grad.abs().max() > 0


def test_drop_path_drops_whole_samples_in_training_and_nothing_otherwise(hidden):
    many = hidden[:1].expand(400, -1, -1)
    adapter = awake("bottleneck:drop=0.25,r=3")
    whole = adapter.eval()(hidden[:1])
    torch.testing.assert_close(adapter(many), whole.expand(400, -1, -1))
    found = adapter.train()(many)
    dropped = (found == 0).all(dim=(1, 2))
    assert 60 < dropped.sum() < 140
    torch.testing.assert_close(found[~dropped], (whole / 0.75).expand(400 - dropped.sum(), -1, -1))
    assert not torch.equal(adapter(many), found)


def test_dropout_of_adaptformer_drops_values_of_the_hidden_layer_in_training(hidden):
    adapter = awake("adaptformer:dropout=0.5,r=3")
    without = awake("adaptformer:r=3")
    without.load_state_dict(adapter.state_dict())
    assert torch.equal(adapter.eval()(hidden), without(hidden))
    mean = torch.stack([adapter.train()(hidden) for _ in range(2000)]).mean(0)
    assert (mean - without(hidden)).abs().max() < 0.1 * without(hidden).abs().max()


@pytest.mark.parametrize("text", ["bottleneck:drop=0.5,r=3", "adaptformer:dropout=0.5,r=3"])
def test_masks_follow_from_the_seed_and_draw_nothing_from_the_global_generator(hidden, text):
    first, again, other = awake(text, 0), awake(text, 0), awake(text, 1)
    other.load_state_dict(first.state_dict())
    state = torch.get_rng_state()
    found = first(hidden)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    assert torch.equal(again(hidden), found)
    assert torch.equal(copy.deepcopy(first)(hidden), again(hidden))
    assert any(not torch.equal(other(hidden), first(hidden)) for _ in range(5))


@pytest.mark.parametrize("text", ["bottleneck:drop=0.5,r=3", "adaptformer:dropout=0.5,r=3"])
def test_masks_of_a_step_are_the_same_whatever_was_drawn_before(hidden, text):
    adapter = awake(text)
    adapter.start_step(5)
    first, second = adapter(hidden), adapter(hidden)
    adapter.start_step(6)
    other = adapter(hidden)
    adapter.start_step(5)
    assert torch.equal(adapter(hidden), first)
    assert torch.equal(adapter(hidden), second)
    assert not (torch.equal(first, second) and torch.equal(first, other))


def test_an_adapter_in_a_population_draws_what_it_draws_alone():
    chain, images = create_chain("starter"), torch.randn(8, 3, 32, 32)
    text = "20>22+22>23@bottleneck:drop=0.5,r=2+9>9+22>22@adaptformer:dropout=0.5,r=2"
    models = []
    for seed in range(3):
        torch.manual_seed(seed)
        models.append(AdaptedModel(chain, Placement.parse(text), ("a", "b")))
        with torch.no_grad():
            for parameter in models[-1].adapters.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    embedded = chain.embed(images)
    frozen = [frozen_activations(chain, embedded, model.frozen_nodes) for model in models]
    members, alone = Population(models, [0, 0, 0]), [Alone(model, 0) for model in models]
    for step, at_once in enumerate([[0, 1, 2], [2, 0], [1]]):
        members.start_step(step)
        found = members([frozen[m] for m in at_once], at_once)
        for member, logits in zip(at_once, found, strict=True):
            alone[member].start_step(step)
            (expected,) = alone[member]([frozen[member]], [0])
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    members.eval()
    assert not any(adapter.training for model in models for adapter in model.adapters.values())


def test_adapters_without_dropout_draw_only_their_weights_from_the_global_generator():
    new("bottleneck:r=3")
    plain = torch.get_rng_state()
    new("bottleneck:act=relu,r=3,scale=2")
    assert torch.equal(torch.get_rng_state(), plain)
    new("bottleneck:drop=0.1,r=3")
    assert not torch.equal(torch.get_rng_state(), plain)


def test_adapter_plus_reads_the_stream_as_it_is_and_scales_each_channel(hidden):
    adapter = awake("adapter-plus:r=3")
    expected = adapter.gamma * adapter.up(functional.gelu(adapter.down(hidden)))
    torch.testing.assert_close(adapter(hidden), expected)


def test_adapter_plus_starts_at_small_truncated_weights_and_channel_scales_of_one():
    adapter = AdapterPlus(AdapterPlus.Config(r=64), BackboneShape.plain(dim=256), EDGE)
    for layer in (adapter.down, adapter.up):
        assert layer.weight.abs().max() <= 0.02
        # A normal that is cut off at two standard deviations has a spread of 0.88 of them.
        assert layer.weight.std().item() == pytest.approx(0.0088, rel=0.03)
        assert not layer.bias.any()
    assert (adapter.gamma == 1).all()


def test_adaptformer_reads_the_stream_as_it_is_with_relu_and_a_tenth(hidden):
    adapter = awake("adaptformer:r=3")
    expected = 0.1 * adapter.up(functional.relu(adapter.down(hidden)))
    torch.testing.assert_close(adapter(hidden), expected)
    assert not new("adaptformer:r=3").down.bias.any()
    assert AdaptFormer.Config().scale == 0.1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("bottleneck:act=tanh", "act=tanh is not a known activation; choose gelu"),
        ("bottleneck:scale=0", "scale=0 must be a number above 0"),
        ("bottleneck:scale=large", "must be a number above 0"),
        ("bottleneck:drop=1", "drop=1 must be a number from 0 to below 1"),
        ("adapter-plus:drop=-0.1", "must be a number from 0 to below 1"),
        ("adaptformer:dropout=2", "dropout=2 must be"),
        ("adapter-plus:scale=2", "has no option 'scale'"),
    ],
)
def test_options_out_of_range_are_refused(text, says):
    with pytest.raises(PlacementError, match=says):
        check_adapters(Placement.parse(f"1>2@{text}"))


def test_the_rational_activation_adds_ten_parameters():
    plain, learnt = (
        Bottleneck.parameters_at(Bottleneck.Config(r=48, act=act), BackboneShape.plain(768), EDGE)
        for act in ("gelu", "rational")
    )
    assert learnt - plain == 10
