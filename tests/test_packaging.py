"""What pyproject.toml promises is what is tested: versions of libraries and of Python."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import autoplace

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(name: str) -> dict[str, Version]:
    """The versions of a constraints file, by package."""
    lines = (line.split("==") for line in (ROOT / name).read_text().splitlines())
    return {canonicalize_name(package): Version(version) for package, version in lines}


def required(*extras: str) -> list[Requirement]:
    """The requirements of the project and of some extras."""
    optional = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in optional[extra])]
    return [Requirement(line) for line in lines]


def test_the_version_is_defined_once():
    assert PROJECT["dynamic"] == ["version"]
    assert "version" not in PROJECT
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == autoplace.__version__


def test_what_the_docs_are_built_with_is_pinned():
    tested = pins("constraints.txt")
    for requirement in required("docs"):
        assert tested[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_lowest_versions_that_are_allowed_are_those_that_are_tested():
    lowest = pins("constraints-lowest.txt")
    bounds = {
        canonicalize_name(requirement.name): Version(bound.version)
        for requirement in required("dev")
        for bound in requirement.specifier
        if bound.operator == ">="
    }
    assert len(bounds) > 20
    assert {name: lowest[name] for name in bounds} == bounds, "run 'make lowest-versions'"


def test_the_versions_of_python_that_are_named_are_those_that_are_tested():
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.M)
    (newer,) = re.findall(r"for minor in ([\d ]+);", (ROOT / "Makefile").read_text())
    oldest = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert named == ["3.11", *(f"3.{minor}" for minor in sorted(newer.split()))]
    assert [version for version in ("3.10", "3.11") if version in oldest] == ["3.11"]
