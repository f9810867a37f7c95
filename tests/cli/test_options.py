"""Options: flags before environment before file before defaults, and help without the machinery."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, fields

import click
import pytest

from autoplace.cli._main import COMMANDS
from autoplace.cli._options import settings_options
from autoplace.errors import UserError
from autoplace.settings import CollectSettings, PickSettings, TrialSettings, create_settings

HELP = """
import json, sys
from contextlib import redirect_stdout
from io import StringIO
from autoplace.cli import main
from autoplace.cli._main import COMMANDS

told = {}
for command in COMMANDS:
    out = StringIO()
    with redirect_stdout(out):
        try:
            main([command, "--help"])
        except SystemExit as ended:
            told[command] = [ended.code, out.getvalue()]
heavy = [name for name in ("torch", "timm", "mlflow", "sklearn", "lightgbm", "pandas", "rich")
         if name in sys.modules]
print(json.dumps({"told": told, "heavy": heavy}))
"""


@pytest.fixture
def resolve(monkeypatch, tmp_path):
    """The settings that `pick` would get from flags, environment and file."""

    @click.command()
    @settings_options(PickSettings)
    def command(settings: PickSettings) -> PickSettings:
        return settings

    def run(*flags: str, file: str | None = None, **environment: str) -> PickSettings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        arguments = list(flags)
        if file is not None:
            (tmp_path / "config.yaml").write_text(file)
            arguments += ["-c", str(tmp_path / "config.yaml")]
        return command.main(arguments, standalone_mode=False)

    return run


def test_what_nobody_sets_has_its_default(resolve):
    assert resolve() == PickSettings()


def test_the_file_comes_before_the_default_in_either_spelling(resolve):
    settings = resolve(file="top-k: 2\nmax_params: 3000\nlr: 1\nfamily: null\n")
    assert (settings.top_k, settings.max_params, settings.lr) == (2, 3000, 1.0)
    assert settings.family is None


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "0.001", "1.0e-3"])
def test_a_number_in_the_file_may_have_an_exponent_without_a_point(resolve, text):
    assert resolve(file=f"lr: {text}\n").lr == 0.001


def test_the_environment_comes_before_the_file(resolve):
    settings = resolve(file="top-k: 2\nepochs: 3\n", AUTOPLACE_TOP_K="4")
    assert (settings.top_k, settings.epochs) == (4, 3)


def test_a_flag_comes_before_all(resolve):
    settings = resolve("--top-k", "6", file="top-k: 2\n", AUTOPLACE_TOP_K="4")
    assert settings.top_k == 6


def test_an_empty_file_sets_nothing(resolve):
    assert resolve(file="# nothing yet\n") == PickSettings()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epoch": 3}, "unknown option 'epoch'; did you mean 'epochs'"),
        ({"zzz": 3}, "unknown option 'zzz'; known: .*top_k"),
        ({"top_k": "5"}, "--top-k is '5'; give a number"),
        ({"top_k": 2.5}, "--top-k is 2.5; give a number"),
        ({"top_k": True}, "--top-k is True; give a number"),
        ({"lr": False}, "--lr is False; give a number"),
        ({"top_k": None}, "--top-k is None; give a number"),
        ({"backbone": 3}, "--backbone is 3; give text"),
        ({"metric": "auc"}, "--metric is 'auc'; choose one of: accuracy"),
        ({"max_bad": 2.0}, "--max-bad is 2.0; it must be at most 1.0"),
        ({"max_bad": float("nan")}, "--max-bad is nan; it must be at least 0.0"),
        ({"seed": -1}, "--seed is -1; it must be at least 0"),
        ({"seed": 2**32}, "--seed is 4294967296; it must be at most 4294967295"),
        ({"lr": "fast"}, "--lr is 'fast'; give a number"),
        ({"lr": float("inf")}, "--lr is inf; it must be a finite number"),
    ],
)
def test_a_wrong_name_type_or_range_is_refused_with_what_is_right(options, told):
    with pytest.raises(UserError, match=told):
        create_settings(PickSettings, options)


def test_trial_options_are_the_same_for_pick_and_collect_but_for_early_stopping():
    trial = {each.name: (each.type, each.default, each.metadata) for each in fields(TrialSettings)}
    del trial["patience"]  # whole trials for the log
    for kind in (PickSettings, CollectSettings):
        found = {each.name: (each.type, each.default, each.metadata) for each in fields(kind)}
        assert trial.items() <= found.items()
    assert (PickSettings().patience, CollectSettings().patience) == (5, None)


def test_settings_are_plain_values_that_make_the_same_settings():
    settings = PickSettings(top_k=3, lr=0.1, budget="20m")
    assert create_settings(PickSettings, settings.as_dict()) == settings
    assert json.loads(json.dumps(asdict(settings))) == settings.as_dict()


@pytest.fixture(scope="module")
def help_of_all():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_help_of_every_command_works_and_loads_nothing_heavy(help_of_all):
    assert set(help_of_all["told"]) == set(COMMANDS)
    for command, (code, text) in help_of_all["told"].items():
        assert code == 0
        assert text.startswith(f"Usage: autoplace {command}")
    assert help_of_all["heavy"] == []


def test_the_help_of_pick_shows_every_option_with_its_flag(help_of_all):
    text = help_of_all["told"]["pick"][1]
    for each in fields(PickSettings):
        assert f"--{each.name.replace('_', '-')} " in text
    assert "--dry-run" in text
    assert "--json" in text


@pytest.mark.parametrize("command", ["pick", "collect", "probe", "merge"])
def test_the_help_has_a_section_for_each_group_of_options(help_of_all, command):
    text = help_of_all["told"][command][1]
    found, section = {}, None
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            section = line[:-1]
        elif line.startswith("  -") and section:
            flag = re.search(r"--([a-z-]+)", line)[1]
            assert flag not in found
            found[flag] = section
    assert {found[flag] for flag in ("json", "verbose", "help", "config")} == {"Options"}
    assert (found["seed"], found["store"]) == ("Data and backbone", "Predictor and store")
    if command != "probe":
        assert {found[each.name.replace("_", "-")] for each in fields(TrialSettings)} == {
            "Training"
        }
    if command == "pick":
        assert list(dict.fromkeys(found.values())) == [
            "Options", "Data and backbone", "Probe", "Placements", "Training", "Workers",
            "Predictor and store",
        ]  # fmt: skip


def test_the_list_of_commands_says_what_each_does_and_the_exit_codes(cli, tmp_path):
    done = cli("--help", cwd=tmp_path)
    assert done.code == 0
    assert all(text in done.out for text in COMMANDS)
    sentence = " ".join(done.out.split())  # whatever the width of the terminal
    assert "2 bad input" in sentence
    assert "3 --budget ran out" in sentence
