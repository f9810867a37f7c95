"""The functions of the front door take the options of the commands, by name, type and default."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields

import pytest

import autoplace
from autoplace.settings import CollectSettings, MergeSettings, PickSettings, ProbeCommandSettings

SETTINGS = {
    "pick": PickSettings,
    "probe": ProbeCommandSettings,
    "collect": CollectSettings,
    "merge": MergeSettings,
}
ARGUMENTS = ("data", "runs")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_function_takes_every_option_of_its_command_as_a_typed_keyword(name):
    signature = inspect.signature(getattr(autoplace, name))
    given = {p.name: p for p in signature.parameters.values() if p.name not in ARGUMENTS}
    expected = {each.name: each for each in fields(SETTINGS[name])}
    assert list(given) == list(expected)
    for option, parameter in given.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default == expected[option].default
        assert parameter.annotation == expected[option].type


@pytest.mark.parametrize("name", ["pick", "probe", "collect"])
def test_a_keyword_reaches_the_settings(name, monkeypatch):
    from autoplace import agent

    seen = []
    monkeypatch.setattr(agent, name, lambda data, settings: seen.append(settings) or [])
    getattr(autoplace, name)("builtin:digits", seed=7, probe_images=99)
    assert (seen[0].seed, seen[0].probe_images) == (7, 99)
    with pytest.raises(TypeError, match="epoch_s"):
        getattr(autoplace, name)("builtin:digits", epoch_s=3)


def test_what_callers_catch_and_hold_is_exported():
    for name in ("Placement", "PickResult", "MergeResult", "UserError", "__version__"):
        assert name in autoplace.__all__
        assert getattr(autoplace, name)


def test_importing_a_room_hides_no_function_of_the_front_door():
    code = (
        "import autoplace.agent, autoplace.probing, autoplace.placement, autoplace; "
        "print(all(callable(getattr(autoplace, name)) for name in autoplace.__all__ "
        "if name != '__version__'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_importing_autoplace_loads_nothing_heavy():
    code = (
        "import autoplace, sys; print({'torch', 'mlflow', 'sklearn', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
