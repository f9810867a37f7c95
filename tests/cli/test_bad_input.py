"""Bad input: exit code 2, a line or two of what is wrong and what to do, nothing written."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import socket
from pathlib import Path

import pytest
import safetensors.torch
import torch

SMALL = ("--probe-images", "24", "--batch-size", "16")
PROGRESS = re.compile(r"\s*\d+\.\d s  ")


class Ground:
    """Bad input of every sort, made below `folder` when asked for."""

    def __init__(self, folder: Path, images: Path, predictor: Path) -> None:
        self.folder, self.images, self._predictor = folder, images, predictor

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def classes(self, name: str, **counts: int) -> Path:
        """An image folder with so many images of each class."""
        for label, count in counts.items():
            target = self.folder / name / label
            target.mkdir(parents=True)
            for image in sorted((self.images / "red").iterdir())[:count]:
                shutil.copy(image, target)
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name

    def damaged(self, share: float) -> Path:
        """The images, of which so many are no images."""
        target = shutil.copytree(self.images, self.folder / "damaged")
        paths = sorted(target.rglob("*.png"))
        for path in paths[:: round(1 / share)]:
            path.write_bytes(b"no image")
        return target

    def checkpoint(self) -> Path:
        path = self.folder / "other.safetensors"
        safetensors.torch.save_file({"blocks.0.odd.weight": torch.zeros(2)}, path)
        return path

    def predictor(self, file: str, change, *, mend_sum: bool) -> Path:
        """A predictor of which one file was changed, with or without its checksum."""
        folder = shutil.copytree(self._predictor, self.folder / "predictor")
        data = change((folder / file).read_bytes())
        (folder / file).write_bytes(data)
        if mend_sum:
            sums = (folder / "SHA256SUMS").read_text()
            new = f"{hashlib.sha256(data).hexdigest()}  {file}"
            (folder / "SHA256SUMS").write_text(re.sub(rf"[0-9a-f]{{64}}  {file}", new, sums))
        return folder


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def of_another_schema(data: bytes) -> bytes:
    stamp = json.loads(data)
    return json.dumps(stamp | {"schema_version": stamp["schema_version"] + 1}).encode()


# What is asked for, and words that the message must hold.
DATA = {
    "missing folder": (lambda g: ["pick", "nowhere"], "no such folder or manifest: 'nowhere'"),
    "empty folder": (lambda g: ["pick", g.classes("empty")], "no class folders"),
    "one class only": (lambda g: ["pick", g.classes("one", red=8)], "only one class, 'red'"),
    "three images in a class": (
        lambda g: ["pick", g.classes("few", red=8, rare=3)],
        "class 'rare' .* 3 images, but at least 4",
    ),
    "unreadable manifest": (
        lambda g: ["pick", g.file("m.parquet", b"no table")], r"m\.parquet"
    ),
    "unknown column": (
        lambda g: ["pick", g.file("m.csv", "path,lable\na.png,red\n")], "lable"
    ),
    "unknown split name": (
        lambda g: ["pick", g.file("m.csv", "path,label,split\na.png,red,later\n")], "later"
    ),
    "path out of the manifest's folder": (
        lambda g: ["pick", g.file("m.csv", "path,label\n../a.png,red\n")], r"\.\./a\.png"
    ),
    "a family of built-in data that is none": (
        lambda g: ["pick", "builtin:digit"], "did you mean 'builtin:digits'"
    ),
    "too many damaged images": (lambda g: ["pick", g.damaged(0.2)], "--max-bad|max-bad"),
    "a second source that is missing": (
        lambda g: ["collect", g.images, "nowhere", "--placements", 1, "--epochs", 1],
        "no such folder or manifest: 'nowhere'",
    ),
}  # fmt: skip
MODELS = {
    "unknown backbone": (
        lambda g: ["pick", g.images, "--backbone", "vit_tinny_patch16_224"],
        "did you mean 'vit_tiny_patch16_224'",
    ),
    "a checkpoint that does not fit": (
        lambda g: ["pick", g.images, "--checkpoint", g.checkpoint()], r"blocks\.0\.odd\.weight"
    ),
    "a checkpoint that is missing": (
        lambda g: ["pick", g.images, "--checkpoint", "w.safetensors"], r"w\.safetensors"
    ),
    "a backbone that is no residual chain": (
        lambda g: ["pick", g.images, "--backbone", "resnet18"], "resnet18"
    ),
    "CUDA that is absent": (lambda g: ["pick", g.images, "--device", "cuda"], "--device cpu"),
}  # fmt: skip
PLACEMENTS = {
    "a node the backbone does not have": (
        lambda g: ["collect", g.images, "--placements-file", g.file("p.txt", "3>25\n")],
        r"3>25 .* its nodes are 0\.\.24",
    ),
    "an edge given twice": (
        lambda g: ["collect", g.images, "--placements-file", g.file("p.txt", "1>2\n3>4+3>4\n")],
        r"p\.txt, line 2: edge 3>4 is given twice",
    ),
    "a placement given twice": (
        lambda g: ["collect", g.images, "--placements-file", g.file("p.txt", "1>2\n3>4\n1>2\n")],
        r"p\.txt, line 3: 1>2@bottleneck:r=8 is already in line 1",
    ),
    "an unknown adapter kind in a placement": (
        lambda g: ["collect", g.images, "--placements-file", g.file("p.txt", "1>2@loro:r=2\n")],
        r"p\.txt, line 1: unknown adapter kind 'loro'; did you mean 'lora'.*bottleneck, ",
    ),
    "an unknown adapter kind, which is refused before any image is looked at": (
        lambda g: ["pick", "nowhere", "--adapter", "liner"], "did you mean 'linear'"
    ),
    "the same in a dry run": (
        lambda g: ["pick", "nowhere", "--adapter", "liner", "--dry-run"], "did you mean 'linear'"
    ),
    "the same in a probe": (
        lambda g: ["probe", "nowhere", "--adapter", "liner"], "did you mean 'linear'"
    ),
    "top-k of 0": (lambda g: ["pick", g.images, "--top-k", 0], "--top-k is 0.* at least 1"),
    "top-k far above the candidates": (
        lambda g: ["pick", g.images, "--top-k", 10**6], "--top-k is 1000000.* at most"
    ),
    "a learning rate of 0": (lambda g: ["pick", g.images, "--lr", 0], "--lr is 0.* above 0"),
    "a negative learning rate": (lambda g: ["pick", g.images, "--lr", -1], "--lr is -1.* above 0"),
    "class weights under log-loss": (
        lambda g: ["pick", g.images, "--class-weights", "balanced", "--metric", "log-loss"],
        "leave one of them out",
    ),
    "more folds than the images allow": (
        lambda g: ["pick", g.images, "--folds", 50], "--folds is 50, but .* at most"
    ),
    "a budget no candidate meets": (
        lambda g: ["pick", g.images, "--max-params", 100], "takes 193, so raise --max-params"
    ),
    "a budget no edge meets": (
        lambda g: ["probe", g.images, "--max-params", 100], "takes 193, so raise --max-params"
    ),
}  # fmt: skip
STORES = {
    "a server that does not answer": (
        lambda g: ["pick", g.images, "--store", f"http://127.0.0.1:{closed_port()}"],
        "no MLflow server answers",
    ),
    "a store that cannot be written": (
        lambda g: ["pick", g.images, "--store", "sqlite:////proc/none/mlflow.db"], "cannot be"
    ),
    "a store that is no database": (
        lambda g: ["pick", g.images, "--store", f"sqlite:///{g.file('x.db', b'no ' * 400)}"],
        "cannot be used",
    ),
    "a store of an unknown sort": (
        lambda g: ["pick", g.images, "--store", "redis://here"], "unsupported MLflow store"
    ),
    "a run that does not exist": (
        lambda g: ["predict", "0123abcd", g.images / "red" / "00.png"], "no run '0123abcd'"
    ),
    "an image that is none": (
        lambda g: ["predict", g.file("w.txt", "x").parent, g.file("x.png", b"x")],
        "holds no complete winner",
    ),
    "records of nothing": (lambda g: ["retrain"], "no (predictor|finished trials)"),
    "a UI of nothing": (
        lambda g: ["ui"], "no MLflow store at .* run 'autoplace pick' or 'autoplace collect' first"
    ),
    "a predictor with a wrong checksum": (
        lambda g: ["pick", g.images, "--predictor",
                   g.predictor("model.txt", lambda data: data + b"\n", mend_sum=False)],
        r"model\.txt",
    ),
    "a predictor of another schema": (
        lambda g: ["probe", g.images, "--predictor",
                   g.predictor("schema.json", of_another_schema, mend_sum=True)],
        "schema",
    ),
    "a predictor that is not there": (
        lambda g: ["pick", g.images, "--predictor", "nowhere"], "nowhere"
    ),
}  # fmt: skip
OPTIONS = {
    "an unknown option": (lambda g: ["pick", g.images, "--topk", 3], "--top-k"),
    "an unknown command": (lambda g: ["pikc", g.images], "pikc"),
    "a metric that does not exist": (
        lambda g: ["pick", g.images, "--metric", "auc"], "accuracy.*balanced-accuracy.*macro-f1"
    ),
    "a number that is none": (lambda g: ["pick", g.images, "--epochs", "ten"], "'ten'"),
    "a learning rate below 0": (lambda g: ["pick", g.images, "--lr", -1], "--lr is -1.0"),
    "a learning rate that is no number": (lambda g: ["pick", g.images, "--lr", "nan"], "--lr"),
    "a budget that is no time": (
        lambda g: ["pick", g.images, "--budget", "soon"], "--budget is 'soon'.* 90s, 20m or 2h"
    ),
    "no number of parallel placements": (
        lambda g: ["collect", g.images, "--parallel-placements", "some"],
        "--parallel-placements is 'some'; give a number of at least 1, or 'auto'",
    ),
    "an augmentation that does not exist": (
        lambda g: ["pick", g.images, "--augment", "mixup"], "'none', 'crop', 'crop-flip'"
    ),
    "a precision that does not exist": (
        lambda g: ["pick", g.images, "--precision", "fp8"], "'tf32', 'bf16'"
    ),
    "one micro-batch": (
        lambda g: ["probe", g.images, "--probe-micro-batches", 1],
        "--probe-micro-batches is 1; it must be at least 2",
    ),
    "an unknown key in the file": (
        lambda g: ["pick", g.images, "-c", g.file("c.yaml", "top_kk: 3\n")],
        r"c\.yaml: unknown option 'top_kk'; did you mean 'top_k'",
    ),
    "a wrong type in the file": (
        lambda g: ["pick", g.images, "-c", g.file("c.yaml", "epochs: many\n")],
        r"c\.yaml: --epochs is 'many'; give a number",
    ),
    "a file that is no YAML": (
        lambda g: ["pick", g.images, "-c", g.file("c.yaml", "a: [1\n")], r"config .*c\.yaml"
    ),
    "a file of no options": (
        lambda g: ["pick", g.images, "-c", g.file("c.yaml", "- 1\n")], "top-k: 5"
    ),
    "a file that is missing": (lambda g: ["pick", g.images, "-c", "none.yaml"], r"none\.yaml"),
}  # fmt: skip
CASES = DATA | MODELS | PLACEMENTS | STORES | OPTIONS


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_in_a_line_or_two_and_nothing_is_written(
    case, cli, image_folder, predictor, tmp_path
):
    if case == "CUDA that is absent" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    make, told = CASES[case]
    given, here = tmp_path / "given", tmp_path / "here"
    given.mkdir()
    here.mkdir()
    arguments = make(Ground(given, image_folder, predictor))
    if arguments[0] in ("pick", "probe", "collect"):
        arguments += SMALL if arguments[0] != "probe" else SMALL[:2]
    if arguments[0] in ("pick", "probe") and "--predictor" not in arguments:
        arguments += ["--predictor", predictor]
    before = sorted(given.rglob("*"))
    done = cli(*arguments, cwd=here)
    message = [line for line in done.err.splitlines() if not PROGRESS.match(line)]
    assert done.code == 2, done.err
    assert message[0].startswith("Error: ")
    assert len(message) <= 2
    assert re.search(told, done.err), done.err
    assert done.out == ""
    assert list(here.iterdir()) == []
    assert sorted(given.rglob("*")) == before


def test_bad_input_leaves_no_run_in_a_store_that_exists(cli, image_folder, predictor, new_store):
    store = new_store()
    done = cli(
        "pick", image_folder, *SMALL, "--predictor", predictor, "--top-k", 10**6,
        "--store", store.uri, cwd=store.folder,
    )  # fmt: skip
    assert done.code == 2
    assert len(store.client.search_experiments()) == 2  # MLflow's own and that of the tables
    assert not (store.folder / "runs").exists()


@pytest.mark.parametrize("where", ["before", "after"])
def test_verbose_shows_the_traceback_too_and_keeps_the_code(where, cli, tmp_path):
    arguments = ["pick", "nowhere"]
    arguments.insert(0 if where == "before" else 2, "--verbose")
    done = cli(*arguments, "--predictor", "x", cwd=tmp_path)
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("Error: ")
