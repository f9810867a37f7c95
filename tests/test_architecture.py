"""The house is as docs/architecture.md says: what rooms import, how long files are, no pickle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TOP_LEVEL = ("autoplace", "predictors", "experiments", "tests")
SOURCES = sorted(path for top in TOP_LEVEL for path in (ROOT / top).rglob("*.py"))
ABOVE_ALL = {
    "autoplace.errors",
    "autoplace.settings",
    "autoplace._version",
    "predictors.vocabulary",
}
# Run by MLflow when it loads a model, never imported by us.
MODELS_FROM_CODE = {"_winner_model.py", "_predictor_model.py"}
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}


def table_rows() -> dict[str, set[str]]:
    """Room to the rooms it may import, in the order of the page's table."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| ([^|]+) \|$", PAGE, re.MULTILINE)
    found: dict[str, set[str]] = {}
    for room, imports in rows:
        found[room] = set(found) if imports == "all above" else set(re.findall(r"`(\w+)`", imports))
    return found


ROOMS = table_rows()


def package(room: str) -> str:
    return room if room == "predictors" else f"autoplace.{room}"


def folder(room: str) -> Path:
    return ROOT.joinpath(*package(room).split("."))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Every module a file imports, anywhere in it; relative imports stay within their room."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_ours(path: Path) -> list[str]:
    """The imported modules that are autoplace's or predictors' own."""
    return [name for name in imported(path) if name.split(".")[0] in ("autoplace", "predictors")]


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def room_files(room: str) -> list[Path]:
    return [p for p in sorted(folder(room).rglob("*.py")) if p.name not in MODELS_FROM_CODE]


def test_the_table_lists_every_room_and_no_other():
    packages = {path.parent.name for path in (ROOT / "autoplace").glob("*/__init__.py")}
    assert set(ROOMS) == packages - {"settings", "_api"} | {"predictors"}


def test_the_table_lets_no_room_import_one_below_it():
    order = list(ROOMS)
    for room, imports in ROOMS.items():
        assert imports <= set(order[: order.index(room)]), room


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_the_table_says(room):
    allowed = {package(each) for each in (room, *ROOMS[room])}
    if room != "predictors":
        allowed |= ABOVE_ALL
    for path in room_files(room):
        for name in of_ours(path):
            assert any(within(name, each) for each in allowed), f"{path} imports {name}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_enters_others_by_their_door(room):
    for path in room_files(room):
        for name in of_ours(path):
            if not within(name, package(room)) and not within(name, "autoplace._version"):
                assert "._" not in name, f"{path} imports {name}"


def test_what_stands_above_all_rooms_imports_none_of_them():
    assert not of_ours(ROOT / "autoplace" / "errors.py")
    assert not of_ours(ROOT / "predictors" / "vocabulary.py")
    names = [
        name
        for path in sorted((ROOT / "autoplace" / "settings").glob("*.py"))
        for name in of_ours(path)
        if not within(name, "autoplace.settings")
    ]
    allowed = ("autoplace.errors", "predictors.vocabulary")
    assert all(any(within(name, each) for each in allowed) for name in names)


def test_predictors_know_neither_torch_nor_autoplace():
    for path in sorted((ROOT / "predictors").rglob("*.py")):
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & {"autoplace", "torch", "torchvision", "timm"}, path


@pytest.mark.parametrize("top", ["autoplace", "predictors", "experiments"])
def test_nothing_is_pickled_or_unpickled(top):
    for path in sorted((ROOT / top).rglob("*.py")):
        for node in ast.walk(parsed(path)):
            assert not _pickles(node), f"{path}, line {getattr(node, 'lineno', '?')}"


def _pickles(node: ast.AST) -> bool:
    """Whether a node could run what a file says; naming an error of pickle's cannot."""
    match node:
        case ast.ImportFrom(module=str(module), names=names):
            exempt = [alias.name for alias in names] == ["UnpicklingError"]
            return module.split(".")[0] in UNPICKLERS and not exempt
        case ast.Import(names=names):
            return any(alias.name.split(".")[0] in UNPICKLERS - {"pickle"} for alias in names)
        case ast.Attribute(value=ast.Name(id="pickle"), attr=attribute):
            return attribute != "UnpicklingError"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load"), keywords=given):
            return not _is_true(given, "weights_only")
        case ast.Call(func=ast.Attribute(attr="read_pickle" | "to_pickle")):
            return True
        case ast.Call(keywords=given):
            return _is_true(given, "allow_pickle")
    return False


def _is_true(given: list[ast.keyword], name: str) -> bool:
    return any(
        each.arg == name and isinstance(each.value, ast.Constant) and each.value.value is True
        for each in given
    )


@pytest.mark.parametrize(
    "line",
    [
        "import joblib",
        "from pickle import loads",
        "pickle.loads(data)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "numpy.load(path, allow_pickle=True)",
        "pandas.read_pickle(path)",
    ],
)
def test_the_search_for_pickles_finds_them(line):
    assert any(_pickles(node) for node in ast.walk(ast.parse(line)))


def test_files_can_be_read_in_one_sitting():
    long = {p: n for p in SOURCES if (n := len(p.read_text("utf-8").splitlines())) > 350}
    assert not long


def test_there_is_no_drawer_for_odds_and_ends():
    names = {"utils", "helpers", "common", "misc"}
    assert not [path for path in SOURCES if path.stem.lstrip("_") in names]


def test_every_module_says_in_its_first_line_what_is_in_it():
    ours = [path for path in SOURCES if not path.is_relative_to(ROOT / "tests")]
    assert not [path for path in ours if not ast.get_docstring(parsed(path))]


WALK = re.findall(r"`([\w/]+\.py): ([\w.]+)`", PAGE)


def test_the_page_names_where_the_walk_passes():
    assert len(WALK) > 10


def test_steps_know_no_command():
    for path in sorted((ROOT / "autoplace" / "agent" / "steps").glob("*.py")):
        names = [name for name in of_ours(path) if within(name, "autoplace.agent")]
        assert all(within(name, "autoplace.agent.steps") for name in names), path


def test_the_walk_of_pick_enters_no_file_twice():
    table = PAGE.partition("## The walk of `autoplace pick DATA`")[2].partition("\n\n`agent/")[0]
    files = [file for file, _ in re.findall(r"`([\w/]+\.py): ([\w.]+)`", table)]
    assert len(files) > 20
    assert len(set(files)) == len(files)


@pytest.mark.parametrize(("file", "name"), WALK)
def test_what_the_walk_names_exists(file, name):
    root = ROOT if file.startswith("predictors/") else ROOT / "autoplace"
    body: list[ast.stmt] = parsed(root / file).body
    for part in name.split("."):
        found = [
            node
            for node in body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part
        ]
        assert found, f"{file} has no {name}"
        body = found[0].body
