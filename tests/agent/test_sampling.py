"""Placements to collect: sampled with known propensities, or read from a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from autoplace.adapters import count_parameters
from autoplace.agent import parameter_budget, read_placements, sample_trials
from autoplace.backbones import BackboneShape
from autoplace.errors import UserError
from autoplace.placement import EdgeKind
from autoplace.settings import CollectSettings

SHAPE = BackboneShape.plain(96)


@pytest.fixture(scope="module")
def trials():
    return sample_trials(SHAPE, CollectSettings(placements=80))


def test_samples_are_distinct_within_the_budget_and_as_many_as_asked_for(trials):
    assert len({trial.placement for trial in trials}) == len(trials) == 80
    budget = parameter_budget(CollectSettings(), SHAPE).parameters
    assert all(count_parameters(trial.placement, SHAPE) <= budget for trial in trials)


def test_every_propensity_is_a_probability(trials):
    assert all(0 < trial.propensity <= 1 for trial in trials)


def test_half_the_samples_are_single_edges_of_the_four_kinds_evenly(trials):
    singles = [r.placement.edges[0] for r in trials if r.chosen_by == "random-single"]
    sets = [r.placement for r in trials if r.chosen_by == "random-set"]
    assert abs(len(singles) - len(sets)) <= 8  # a draw that came before is drawn again
    assert all(len(placement) > 1 for placement in sets)
    counts = Counter(edge.kind for edge in singles)
    assert set(counts) == set(EdgeKind)
    assert max(counts.values()) - min(counts.values()) <= 4


def test_propensities_of_all_single_edges_add_up_to_the_half_they_are_given():
    by_kind = Counter()
    settings = CollectSettings(placements=300)
    for trial in sample_trials(SHAPE, settings):
        if trial.chosen_by == "random-single":
            by_kind[trial.placement.edges[0].kind] = trial.propensity
    sizes = {EdgeKind.SEQUENTIAL: 25, EdgeKind.PARALLEL: 24, EdgeKind.LONG_RANGE: 276,
             EdgeKind.RECURRENT: 300}  # fmt: skip
    assert sum(by_kind[kind] * size for kind, size in sizes.items()) == pytest.approx(0.5)


def test_the_seed_decides_the_samples():
    settings = [CollectSettings(placements=5, seed=seed) for seed in (0, 0, 1)]
    first, again, other = ([r.placement for r in sample_trials(SHAPE, each)] for each in settings)
    assert first == again
    assert first != other


def test_more_placements_than_the_budget_allows_are_refused():
    # Of a network of three nodes, rank 1 on one of the nine edges is all that fits.
    settings = CollectSettings(placements=20, max_params=193)
    with pytest.raises(UserError, match=r"only 9 of 20 placements fit 193 parameters; raise"):
        sample_trials(replace(SHAPE, n_nodes=3), settings)


def test_a_placements_file_may_hold_comments_and_empty_lines(tmp_path):
    file = tmp_path / "panel.txt"
    file.write_text("# a panel\n\n7>3@bottleneck:r=8\n  # and\n0>5+7>9@linear:r=2;T=3\nhead-only\n")
    texts = [str(placement) for placement in read_placements(str(file))]
    assert texts == ["7>3@bottleneck:r=8", "0>5+7>9@linear:r=2", "head-only"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("7>>3", "not an edge"),
        ("7>3+7>3", "7>3 is given twice"),
        ("7>3@bottelneck:r=8", "did you mean 'bottleneck'"),
        ("7>3@bottleneck:rank=8", "no option 'rank'"),
        ("7>3@bottleneck:r=0", "at least 1"),
        ("7>3;T=1", "T=1 is too few"),
    ],
)
def test_a_bad_line_of_a_placements_file_is_named_by_its_number(tmp_path, line, told):
    file = tmp_path / "panel.txt"
    file.write_text(f"# two good lines\n3>4\n{line}\n")
    with pytest.raises(UserError) as caught:
        read_placements(str(file))
    assert f"{file}, line 3: " in str(caught.value)
    assert told in str(caught.value)


def test_a_placements_file_without_a_placement_or_that_is_no_text_is_refused(tmp_path):
    empty, binary = tmp_path / "empty.txt", tmp_path / "binary.txt"
    empty.write_text("# nothing yet\n")
    binary.write_bytes(b"\xff\xfe\x00\x80")
    for file, told in ((empty, "contains no placement"), (binary, "give a text file"),
                       (tmp_path / "absent.txt", "No such file")):  # fmt: skip
        with pytest.raises(UserError, match=told):
            read_placements(str(file))
