"""Prompts: learned tokens are in the stream from node 0 on, once in every pass, never pooled."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from autoplace.adapters import check_adapters
from autoplace.backbones import BackboneShape, create_chain
from autoplace.model import AdaptedModel, Population, frozen_activations
from autoplace.placement import Edge, Placement, PlacementError

UNIPELT = "0>1+1>2+4>5@unipelt"


@pytest.fixture(scope="module")
def chain():
    return create_chain("starter")


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def model_of(chain, text, seed=0):
    torch.manual_seed(seed)
    model = AdaptedModel(chain, Placement.parse(text), ("a", "b", "c")).eval()
    with torch.no_grad():
        for parameter in model.adapters.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def lengths_at_each_step(chain, model, images, monkeypatch):
    """Tokens that each step of the chain reads, in order."""
    seen, step = [], chain.step

    def counting(k, h):
        seen.append(h.shape[1])
        return step(k, h)

    monkeypatch.setattr(chain, "step", counting)
    model(images)
    return seen


@torch.no_grad()
def test_the_prompt_stands_after_the_class_token_and_is_not_pooled(chain, images):
    model = model_of(chain, "0>0@prompt:length=4")
    hidden = chain.embed(images)
    prompt = model.adapter(Edge(0, 0)).prompt.expand(len(images), -1, -1)
    expected = torch.cat([hidden[:, :1], prompt, hidden[:, 1:]], dim=1)
    for node in range(1, chain.n_nodes):
        expected = chain.step(node, expected)
    assert expected.shape[1] == 17 + 4
    pooled = chain.features(torch.cat([expected[:, :1], expected[:, 5:]], dim=1))
    torch.testing.assert_close(model(images), model.head(pooled))


@torch.no_grad()
def test_every_pass_of_a_recurrent_placement_has_the_prompt_once(chain, images, monkeypatch):
    model = model_of(chain, "0>0@prompt:length=4+2>0@bottleneck:r=2+7>3@bottleneck:r=2;T=3")
    lengths = lengths_at_each_step(chain, model, images, monkeypatch)
    assert set(lengths) == {17 + 4}
    assert len(lengths) == 3 * (chain.n_nodes - 1)
    frozen = frozen_activations(chain, chain.embed(images), model.frozen_nodes)
    torch.testing.assert_close(model.forward_suffix(frozen), model(images))


def test_members_with_prompts_and_prefixes_run_side_by_side(chain, images):
    texts = (
        "0>0@prompt:length=3",
        "0>0@prompt:length=5+0>1@prefix:length=2+2>6@bottleneck:r=2",
        "0>0@prompt:length=3+9>0@linear:r=2",
        "0>1@prefix:length=3+2>3@lora:r=2",
        "4>6@bottleneck:r=2",
    )
    models = [model_of(chain, text, seed) for seed, text in enumerate(texts)]
    population = Population(models, cohorts=[0] * len(models))
    embedded = chain.embed(images)
    frozen = [
        frozen_activations(chain, embedded[: 4 - seed % 2], model.frozen_nodes)
        for seed, model in enumerate(models)
    ]
    logits = population(frozen, members=range(len(models)))
    sum(each.sum() for each in logits).backward()
    for member, model in enumerate(models):
        alone = model.forward_suffix(frozen[member])
        torch.testing.assert_close(logits[member], alone, rtol=1e-4, atol=1e-4)
        alone.sum().backward()
        gradients = population.trainable_state(member, of=lambda parameter: parameter.grad)
        for name, parameter in model.adapters.named_parameters():
            found = gradients[f"adapters.{name}"]
            torch.testing.assert_close(found, parameter.grad, rtol=1e-3, atol=1e-3)


def test_a_prompt_adds_its_tokens_and_nothing_else_to_unipelt(chain, images):
    model, without = model_of(chain, f"0>0@prompt+{UNIPELT}"), model_of(chain, UNIPELT)
    more = sum(p.numel() for p in model.parameters()) - sum(p.numel() for p in without.parameters())
    assert more == 10 * chain.dim
    functional.cross_entropy(model(images), torch.tensor([0, 2, 1, 0])).backward()
    assert all(parameter.grad is not None for parameter in model.adapters.parameters())


@pytest.mark.parametrize(
    ("text", "shape", "says"),
    [
        ("4>4@prompt", {}, "tokens are put in at its start; use 0>0"),
        ("0>1@prompt", {}, "cannot serve"),
        ("0>0@prompt", {"extra_tokens": False}, "rotary or relative positions"),
        ("0>0@prompt:length=0", {}, "at least 1"),
    ],
)
def test_a_prompt_that_cannot_be_is_refused_with_a_remedy(text, shape, says):
    with pytest.raises(PlacementError, match=says):
        check_adapters(Placement.parse(text), replace(BackboneShape.plain(96), **shape))
