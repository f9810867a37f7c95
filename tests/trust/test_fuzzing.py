"""Whatever a file says, reading it ends in a value or in one of the documented errors."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from contextlib import suppress

import click
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings

import predictors
from autoplace.agent import read_placements
from autoplace.backbones import create_chain
from autoplace.cli._options import _read_config
from autoplace.data import DataError, create_transform, load_data
from autoplace.errors import UserError
from autoplace.execution._saved_files import SavedTrial, TrialFiles
from autoplace.model import AdaptedModel, load_adapted, save_adapted
from autoplace.placement import Placement, PlacementError
from autoplace.settings import PickSettings
from autoplace.tracking import Ledger, TrackingError
from autoplace.tracking.ledger._events import RunEvent, TrialChange
from autoplace.tracking.ledger._ledger import is_behind, trial_states
from autoplace.tracking.ledger._push_run import trial_histories
from autoplace.training import Outcome, Trial
from predictors import PredictorError
from predictors.vocabulary import Status
from tests.trust._changes import JSON, changed_json, mutated

SAME = settings(
    max_examples=80, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
DEEP = "[" * 100_000
HUGE = "9" * 5000
PLACEMENT_PARTS = (
    "0>5", "7>3", "head-only", "+", "@", ":", ";", "T=3", "T=", "=", ",", "r=8", "lora", " ",
    "bottleneck", "-1", "1e9", "²", "９", ">", HUGE, "maps=qkv", "\n", "\0", "drop=0.5",
)  # fmt: skip


def test_the_text_of_a_placement():
    @SAME
    @given(
        st.lists(st.sampled_from(PLACEMENT_PARTS), max_size=12).map("".join) | st.text(max_size=30)
    )
    @example(f"{HUGE}>1")
    @example(f"7>3;T={HUGE}")
    @example("7>3;T=100000")
    @example(f"7>3@bottleneck:r={HUGE}")
    def check(text):
        try:
            placement = Placement.parse(text)
        except PlacementError:
            return
        assert Placement.parse(str(placement)) == placement

    check()


def test_a_file_of_placements(tmp_path):
    path = tmp_path / "placements.txt"

    @SAME
    @given(
        mutated(b"# two\n0>5+7>3@bottleneck:r=8\n2>3@lora:maps=qkv,r=2\n") | st.binary(max_size=40)
    )
    def check(data):
        path.write_bytes(data)
        with suppress(UserError):
            read_placements(str(path))

    check()


def test_a_table_of_images(tmp_path, image_folder):
    transform = create_transform({"input_size": [3, 32, 32]})
    files = sorted(image_folder.rglob("*.png"))
    rows = [(str(f.relative_to(image_folder)), f.parent.name) for f in files]
    table = pd.DataFrame(rows, columns=["path", "label"])
    folder = shutil.copytree(image_folder, tmp_path / "bars")
    parquet = io.BytesIO()
    table.to_parquet(parquet)

    def check(name, data):
        path = folder / name
        path.write_bytes(data)
        try:
            load_data(str(path), transform=transform)
        except DataError as error:
            assert len(str(error).splitlines()) <= 3

    @SAME
    @given(mutated(table.to_csv(index=False).encode()) | st.binary(max_size=60))
    def text(data):
        check("t.csv", data)

    @SAME
    @given(mutated(parquet.getvalue()))
    def binary(data):
        check("t.parquet", data)

    text()
    binary()


def test_a_config(tmp_path):
    path = tmp_path / "config.yaml"
    laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )

    @SAME
    @given(
        mutated(b"top-k: 3\nepochs: 5\nlr: 1e-3\nmetric: accuracy\nbudget: 20m\n").map(bytes)
        | st.binary(max_size=40)
        | st.dictionaries(st.sampled_from(["seed", "lr", "top-k", "metric"]), JSON).map(
            lambda named: yaml.safe_dump(named).encode()
        )
    )
    @example(DEEP.encode())
    @example(b"seed: 2001-99-99\n")
    @example(b"lr: " + b"9" * 400 + b"\n")
    @example(f"{laughs}seed: *i\n".encode())
    @example(b"seed: &s\n  b: *s\n")
    @example(b"? !!python/object/apply:os.system ['true']\n: 1\n")
    @example(b"")
    def check(data):
        path.write_bytes(data)
        try:
            _read_config(click.Context(click.Command("pick")), str(path), PickSettings)
        except UserError as error:
            assert len(str(error)) < 2000

    check()


def lines_of(tmp_path):
    ledger = Ledger(tmp_path / "whole.jsonl")
    ledger.append(RunEvent("i-1", "r", "digits", "pick", {"seed": 0}, {"kind": "pick"}))
    ledger.append(TrialChange("a", Status.RUNNING, name="n", params={"x": 1}, tags={"y": 2}))
    ledger.append(TrialChange("a", Status.RUNNING, epoch=1, metrics={"val_loss": 0.5}))
    ledger.append(TrialChange("a", Status.DONE, row={"trial_id": "a"}, metrics={"seconds": 1.0}))
    return [json.loads(line) for line in ledger.path.read_bytes().splitlines()]


def test_a_ledger(tmp_path):
    lines = lines_of(tmp_path)
    path = tmp_path / "ledger.jsonl"

    def check(data):
        path.write_bytes(data)
        try:
            events = Ledger(path).read()
            trial_states(events)
            is_behind(events)
            for history in trial_histories(events).values():
                assert history.points is not None
            Ledger(path).seconds()
        except TrackingError as error:
            assert "ledger" in str(error)

    @SAME
    @given(mutated("".join(json.dumps(line) + "\n" for line in lines).encode()))
    @example(DEEP.encode() + b"\n{}\n")
    def bytes_of_it(data):
        check(data)

    @settings(SAME, max_examples=200)
    @given(changed_json(lines))
    def values_of_it(changed):
        changed = changed if isinstance(changed, list) else [changed]
        check("".join(json.dumps(line) + "\n" for line in changed).encode())

    bytes_of_it()
    values_of_it()


def test_a_saved_trial(tmp_path):
    trial = Trial(Placement.parse("7>3"), seed=0)
    files = TrialFiles(tmp_path)
    files.write(SavedTrial(Outcome(trial, parameters=3, seconds=1.5)))
    (path,) = tmp_path.glob("*/outcome.json")
    document = json.loads(path.read_text())

    @settings(SAME, max_examples=150)
    @given(changed_json(document).map(lambda changed: json.dumps(changed).encode()))
    @example(DEEP.encode())
    def check(data):
        path.write_bytes(data)
        saved = files.read(trial)
        assert saved is None or saved.outcome.trial == trial

    check()


def with_sums(folder, name, data):
    """Write a file and its checksum, as somebody would who wants it to be read."""
    (folder / name).write_bytes(data)
    sums = folder / "SHA256SUMS"
    lines = [line.split() for line in sums.read_text().splitlines()]
    digest = hashlib.sha256(data).hexdigest()
    sums.write_text("".join(f"{digest if n == name else d}  {n}\n" for d, n in lines))


@pytest.mark.parametrize("name", ["schema.json", "training.parquet", "SHA256SUMS"])
def test_a_predictor(tmp_path, name):
    folder = shutil.copytree(predictors.shipped_folder(), tmp_path / "p")
    whole = (folder / name).read_bytes()

    def check(data):
        if name == "SHA256SUMS":
            (folder / name).write_bytes(data)
        else:
            with_sums(folder, name, data)
        for read in (predictors.load_predictor, predictors.load_training_set):
            try:
                read(folder)
            except PredictorError as error:
                assert str(folder) in str(error)

    @settings(SAME, max_examples=30)
    @given(mutated(whole))
    def bytes_of_it(data):
        check(data)

    bytes_of_it()
    if name.endswith(".json"):

        @settings(SAME, max_examples=60)
        @given(changed_json(json.loads(whole)).map(lambda changed: json.dumps(changed).encode()))
        @example(DEEP.encode())
        def values_of_it(data):
            check(data)

        values_of_it()


def test_a_placement_log(tmp_path):
    table = predictors.read_log(predictors.shipped_log()).trials.head(5)
    path = tmp_path / "log.parquet"
    whole = io.BytesIO()
    table.to_parquet(whole)

    def check():
        try:
            predictors.read_log(path)
        except PredictorError as error:
            assert str(path) in str(error)

    @SAME
    @given(mutated(whole.getvalue()))
    def bytes_of_it(data):
        path.write_bytes(data)
        check()

    values = st.none() | st.floats() | st.text(max_size=8) | st.integers(-(2**40), 2**40)

    @SAME
    @given(st.sampled_from(list(table.columns)), st.lists(values, min_size=5, max_size=5))
    @example("versions", [DEEP, DEEP, "{}", "[]", "5"])
    @example("placement", ["7>3;T=100000"] * 5)
    @example("n_val", [None, None, None, None, ""])
    def values_of_it(column, found):
        changed = table.copy()
        changed[column] = pd.Series(found, dtype=object).map(
            lambda value: (
                None
                if value is None or (isinstance(value, float) and np.isnan(value))
                else str(value)
            )
        )
        changed.to_parquet(path)
        check()

    bytes_of_it()
    values_of_it()


@pytest.mark.parametrize("name", ["placement.json", "classes.json", "adapter.safetensors"])
def test_a_winner(tmp_path, name):
    model = AdaptedModel(create_chain("fashion-vit8"), Placement.parse("7>3"), ("cat", "dog"))
    folder = save_adapted(model, tmp_path / "winner", card="# An example")
    whole = (folder / name).read_bytes()

    def check(data):
        (folder / name).write_bytes(data)
        with suppress(UserError):
            load_adapted(folder)

    @settings(SAME, max_examples=15)
    @given(mutated(whole))
    def bytes_of_it(data):
        check(data)

    bytes_of_it()
    if name.endswith(".json"):
        document = json.loads(whole)

        @settings(SAME, max_examples=25)
        @given(changed_json(document).map(lambda changed: json.dumps(changed).encode()))
        @example(DEEP.encode())
        def values_of_it(data):
            check(data)

        values_of_it()
    if name == "placement.json":
        for text in ("7>3@bottleneck:r=999999999", "7>3;T=99999", "99999>3"):
            check(json.dumps(document | {"placement": text}).encode())
