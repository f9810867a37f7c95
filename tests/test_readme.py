"""What the README and the pages in docs/ say can be done: commands parse, names and links exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pandas as pd
import pytest
import yaml
from packaging.requirements import Requirement

from autoplace.agent import PickResult, ProbeResult, RetrainResult
from autoplace.cli._main import COMMANDS
from autoplace.cli._main import autoplace as command_line
from autoplace.model import AdaptedModel
from autoplace.settings import (
    CollectSettings,
    PickSettings,
    ProbeCommandSettings,
    StoreSettings,
)

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(*languages: str) -> list[str]:
    """The README's fenced blocks in these languages."""
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", README, re.M | re.S)


def lines() -> list[str]:
    """The commands of the shell blocks: the lines after `$ ` where a block shows output too."""
    found = [line for block in blocks("bash", "sh") for line in block.splitlines()]
    for block in blocks("console"):
        found += [line[2:] for line in block.splitlines() if line.startswith("$ ")]
    return [line for line in found if line.strip() and not line.startswith("#")]


def split_line(line: str) -> tuple[dict[str, str], list[str]]:
    """Variables set in front of a command, and the words of the command."""
    words = shlex.split(line, comments=True)
    variables = {}
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        name, _, variables[name] = words.pop(0).partition("=")
    return variables, words


def is_autoplace(line: str) -> bool:
    return Path(split_line(line)[1][0]).name == "autoplace"


AUTOPLACE_LINES = [line for line in lines() if is_autoplace(line)]
OTHER_LINES = [line for line in lines() if not is_autoplace(line)]


def parse(words: list[str]) -> click.Context:
    """Parse as the command line would, running nothing. Raises what it would refuse."""
    group = click.Context(command_line, info_name="autoplace")
    name, command, arguments = command_line.resolve_command(group, words)
    assert command is not None
    return command.make_context(name, arguments, parent=group)


@pytest.fixture
def folder_of_the_readme(tmp_path, monkeypatch):
    """A working directory with the README's own config.yaml."""
    (config,) = blocks("yaml")
    (tmp_path / "config.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", AUTOPLACE_LINES)
def test_a_command_of_the_readme_is_understood(line, folder_of_the_readme, monkeypatch):
    variables, words = split_line(line)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    context = parse(words[1:])
    for name, value in variables.items():
        field = name.removeprefix("AUTOPLACE_").lower()
        assert str(context.params[field]) == value


def test_the_search_for_wrong_commands_finds_them(folder_of_the_readme):
    for line in ("pick", "pick DATA --topk 3", "guess DATA", "pick DATA --device tpu"):
        with pytest.raises(click.UsageError):
            parse(line.split())


def test_the_readme_shows_every_command():
    assert {split_line(line)[1][1] for line in AUTOPLACE_LINES} == set(COMMANDS)


def test_the_config_of_the_readme_lies_under_flags(folder_of_the_readme):
    context = parse(["pick", "DATA", "-c", "config.yaml", "--epochs", "8"])
    (config,) = map(yaml.safe_load, blocks("yaml"))
    assert context.params["epochs"] == 8 != config["epochs"]
    assert context.params["top_k"] == config["top-k"]


def test_the_other_commands_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for line in OTHER_LINES:
        tool, *arguments = split_line(line)[1]
        assert tool in ("make", "python"), line
        if tool == "make":
            assert arguments[0] in targets, line
        else:
            assert (ROOT / arguments[0]).is_file(), line
    for target in re.findall(r"`make (\w+)", README):
        assert target in targets


def test_the_defaults_of_make_are_known():
    from autoplace.data import list_builtin

    (data,) = re.findall(r"^DATA \?= (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert data in list_builtin()


# What the front door's functions give back, and the options they take.
FRONT_DOOR = {
    "pick": (PickResult, PickSettings),
    "probe": (ProbeResult, ProbeCommandSettings),
    "collect": (pd.DataFrame, CollectSettings),
    "retrain": (RetrainResult, StoreSettings),
    "load": (AdaptedModel, None),
}


@pytest.mark.parametrize("code", blocks("python"))
def test_the_names_in_a_python_snippet_exist(code):
    tree = ast.parse(code)
    compile(tree, "README.md", "exec")
    modules, results = {}, {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules |= {alias.name: importlib.import_module(alias.name) for alias in names}
            case ast.ImportFrom(module=str(module), names=names):
                assert all(hasattr(importlib.import_module(module), a.name) for a in names)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=function)):
                match function:
                    case ast.Attribute(value=ast.Name(id="autoplace"), attr=attribute):
                        results[name] = FRONT_DOOR[attribute][0]
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if owner in modules:
                assert hasattr(modules[owner], attribute), f"{owner}.{attribute}"
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if owner in results:
                assert _has(results[owner], attribute), f"{owner}.{attribute}"
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="autoplace"), attr=function), keywords=given
            ):
                settings = FRONT_DOOR[function][1]
                known = {each.name for each in fields(settings)} if settings else set()
                assert {each.arg for each in given} <= known


def _has(kind: type, attribute: str) -> bool:
    """Whether instances have it, be it set by their constructor only."""
    return (
        hasattr(kind, attribute)
        or attribute in inspect.get_annotations(kind)
        or f"self.{attribute} = " in inspect.getsource(kind)
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in link:
            assert (page.parent / link.partition("#")[0]).exists(), link


def test_the_extras_of_the_readme_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"\.\[(\w+)\]", README):
        assert extra in project["optional-dependencies"]


def test_exactly_tested_versions_are_given_for_all_that_is_installed():
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line) for line in pins)
    version_of = {_normal(name): version for name, version in (line.split("==") for line in pins)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = project["dependencies"] + project["optional-dependencies"]["dev"]
    for requirement in map(Requirement, required):
        assert version_of[_normal(requirement.name)] in requirement.specifier


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
