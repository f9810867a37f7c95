"""What CONTRIBUTING.md tells contributors to write works: its code blocks are run as they stand."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import predictors
from autoplace.adapters import _registry as adapter_registry
from autoplace.adapters import create_adapter, edge_parameters, list_adapters
from autoplace.backbones import BackboneShape, create_chain
from autoplace.data import DataError, _load, create_transform, load_data
from autoplace.placement import Edge, Placement
from autoplace.probing import _tables, run_probe
from autoplace.settings import ProbeSettings, TrialSettings
from autoplace.training import run_trial
from predictors import _registry as predictor_registry

ROOT = Path(__file__).parents[1]
MODULE = "a_recipe_of_the_page"
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def recipe(title: str) -> str:
    """The section of the page under `## title`."""
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return section


def run_blocks(title: str) -> dict[str, object]:
    """Run the Python blocks of a section as one module, and return the names they define."""
    module = sys.modules[MODULE] = ModuleType(MODULE)  # dataclasses look their module up there
    names = vars(module)
    blocks = re.findall(r"^( *)```python\n(.*?)^ *```", recipe(title), re.M | re.S)
    assert blocks
    for _, block in blocks:
        exec(compile(textwrap.dedent(block), "CONTRIBUTING.md", "exec"), names)
    del sys.modules[MODULE]
    return names


@pytest.fixture
def own_registries(monkeypatch):
    """Registries of adapters and predictors that forget what a test registers."""
    monkeypatch.setattr(adapter_registry, "_KINDS", dict(adapter_registry._KINDS))
    monkeypatch.setattr(predictor_registry, "_CLASSES", dict(predictor_registry._CLASSES))


def test_the_adapter_kind_of_the_page_is_silent_when_new_and_learns(own_registries, task):
    run_blocks("Add an adapter kind")
    assert "leaky" in list_adapters()
    placement = Placement.parse("2>5+7>9@leaky:r=4,slope=0.2")
    ((_, spec), *_) = placement.items
    edge, shape = Edge(2, 5), BackboneShape.plain(12)
    adapter = create_adapter(spec, edge, shape)
    assert not adapter(torch.randn(2, 5, 12)).any()
    assert sum(p.numel() for p in adapter.parameters()) == edge_parameters(spec, edge, shape)
    alone = run_trial(task, Placement(), TrialSettings(epochs=2), seed=0, learning_rate=3e-3)
    outcome = run_trial(task, placement, TrialSettings(epochs=2), seed=0, learning_rate=3e-3)
    assert outcome.status == "done"
    assert outcome.parameters == 2 * edge_parameters(spec, edge, task.chain.shape)
    assert outcome.epochs[-1].train_loss < alone.epochs[-1].train_loss


def test_the_kind_of_the_page_is_forgotten_after_its_test():
    assert "leaky" not in list_adapters()
    assert "edge-count" not in predictors.list_predictors()


def test_the_statistic_of_the_page_becomes_a_column_of_the_probe(monkeypatch, task):
    names = run_blocks("Add a probe statistic")
    names["test_directions_of_equal_energy_count_one_each"]()
    known = _tables.spectrum_statistics

    def with_the_new_one(gradients):
        values = torch.linalg.svdvals(gradients).double()
        return known(gradients) | {"participation_ratio": names["participation_ratio"](values)}

    monkeypatch.setattr(_tables, "spectrum_statistics", with_the_new_one)
    tables = run_probe(task.chain, task.data.train, 3, ProbeSettings(probe_images=16))
    column = tables.edges["participation_ratio"]
    assert len(column) == task.chain.n_nodes**2
    assert (column >= 1 - 1e-9).all()
    assert (column <= task.chain.dim).all()
    assert (column <= tables.edges["effective_rank"] ** 2).all()


def test_the_statistic_of_the_page_goes_where_the_page_says():
    (diff,) = re.findall(r"```diff\n(.*?)```", recipe("Add a probe statistic"), re.S)
    source = (ROOT / "autoplace" / "probing" / "_spectrum.py").read_text(encoding="utf-8")
    for line in diff.splitlines():
        if line.strip() and not line.strip().startswith("+"):
            assert line.strip() in source


def test_the_predictor_of_the_page_learns_and_is_compared(own_registries, capsys):
    run_blocks("Add a predictor")
    shown = capsys.readouterr().out
    assert "edge-count" in shown
    assert "random" in shown
    data = predictors.load_training_set(predictors.shipped_folder())
    predictor = predictors.create_predictor("edge-count").fit(data.X, data.y, data.groups)
    predicted = predictor.predict(data.X)
    assert np.isfinite(predicted).all()
    order = abs(predictors.spearman(data.X["n_edges"].to_numpy(), predicted))
    assert order == pytest.approx(1.0)
    one = predictors.create_predictor("edge-count")
    assert np.isfinite(one.fit(data.X[:1], data.y[:1], data.groups[:1]).predict(data.X)).all()


def test_the_data_source_of_the_page_is_read_checked_and_split(monkeypatch, image_folder):
    list_lines = run_blocks("Add a data source")["list_lines"]
    lines = [f"{p.relative_to(image_folder)}\t{p.parent.name}" for p in image_folder.rglob("*.png")]
    file = image_folder / "images.lines"
    file.write_text("\n".join(lines), encoding="utf-8")
    try:
        monkeypatch.setattr(_load, "_list", lambda text, columns: list_lines(Path(text)))
        transform = create_transform(create_chain("starter").data_config)
        data = load_data(str(file), transform=transform)
        assert data.classes == ("blue", "green", "red")
        assert sum(map(len, data.splits)) == len(lines) == 60
        file.write_text("../elsewhere.png\tred", encoding="utf-8")
        with pytest.raises(DataError, match="leads out of the folder"):
            load_data(str(file), transform=transform)
        file.write_text("red/00.png", encoding="utf-8")
        with pytest.raises(DataError, match="no label"):
            load_data(str(file), transform=transform)
    finally:
        file.unlink()


def test_the_commands_and_files_of_the_page_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.M))
    assert set(re.findall(r"`make ([a-z-]+)`", PAGE)) <= targets
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / link).exists(), link
    new = {"_leaky.py", "_few_edges.py", "_lines.py", "__init__.py"}
    for path in re.findall(r"`((?:autoplace|predictors|tests)/[\w/]+\.py)`", PAGE):
        assert (ROOT / path).is_file() or Path(path).name in new, path
