"""Processes that are ended, find the disk full, or print into a narrow or closed terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from autoplace.cli._main import COMMANDS
from autoplace.cli._progress import BarProgress
from autoplace.cli._table import table
from autoplace.tracking import EventKind, Ledger, Store, push_unsent, read_rows
from tests.field._stores import make_images, run_here, start

ENDLESS = ("--backbone", "fashion-vit8", "--lr", "0.01", "--epochs", "300", "--placements", "50",
           "--probe-images", "8", "--batch-size", "4")  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return make_images(tmp_path_factory.mktemp("data") / "images", per_class=8)


def until(condition: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def ledger_of(store: Store) -> Path | None:
    return next(iter(store.folder.glob("runs/*/ledger.jsonl")), None)


def epochs(store: Store) -> int:
    """Lines of epochs in the only ledger of a store."""
    ledger = ledger_of(store)
    return ledger.read_text().count('"epoch"') if ledger else 0


def assert_closed(store: Store, status: str) -> list[dict[str, object]]:
    """Check that no run is open in MLflow and that the ledger has its end; its rows."""
    (run,) = store.folder.glob("runs/*")
    client = store.client
    ids = [each.experiment_id for each in client.search_experiments()]
    runs = client.search_runs(ids, "tags.`autoplace.role` LIKE '%'")
    assert {each.info.status for each in runs} <= {"FINISHED", "FAILED", "KILLED"}
    assert client.get_run(run.name).info.status == status
    events = Ledger(run / "ledger.jsonl").read()
    ends = [event.status for event in events if event.kind == EventKind.FINISH]
    assert ends == [status]
    return read_rows(store)


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP,),
     (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP, signal.SIGTERM, signal.SIGINT)],
    ids=lambda signals: "+".join(each.name for each in signals),
)  # fmt: skip
def test_signal_ends_a_run_as_ctrl_c_does(signals, new_store, images):
    store = new_store()
    process = start("collect", images, *ENDLESS, "--store", store.uri, cwd=store.folder)
    until(lambda: epochs(store) > 3 or process.poll() is not None)
    begun = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.01)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - begun < 30  # two seconds on an idle machine
    assert process.returncode == 130, err
    *_, last, command = err.splitlines()
    assert last.startswith("interrupted; ")
    assert last.endswith(f"kept in {ledger_of(store).parent}")
    run = ledger_of(store).parent.name
    assert command == f"continue with: autoplace resume {run} --store {store.uri}"
    assert "Traceback" not in err
    rows = assert_closed(store, "KILLED")
    assert {row["status"] for row in rows} <= {"done", "interrupted"}


def test_signal_before_anything_is_recorded_leaves_nothing(tmp_path, images):
    process = start("pick", images, "--backbone", "fashion-vit8", cwd=tmp_path)
    assert "classes" in process.stderr.readline()
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.splitlines()[-1]) == (130, "interrupted")
    assert not list(tmp_path.glob("autoplace-store/runs/*"))


def test_signal_that_nohup_ignores_is_ignored(new_store, images):
    store = new_store()
    process = start(
        *("collect", images, *ENDLESS, "--store", store.uri),
        cwd=store.folder,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    until(lambda: epochs(store) > 3 or process.poll() is not None)
    process.send_signal(signal.SIGHUP)
    before = epochs(store)
    until(lambda: epochs(store) > before + 5 or process.poll() is not None)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 130


def limit_files(process: subprocess.Popen[str], store: Store) -> None:
    """Let no file grow beyond the size of the ledger."""
    size = ledger_of(store).stat().st_size + 50
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))


def fill_disk(process: subprocess.Popen[str], store: Store) -> None:
    """Leave no block free on the store's disk."""
    with (store.folder / "other").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass


@pytest.mark.parametrize(
    ("spoil", "reason", "status"),
    # Beyond a limit, nothing can be written at the end either: the run is open until a sync.
    [(limit_files, "File too large", None), (fill_disk, "No space left on device", "FAILED")],
    ids=["limit on the size of files", "full disk"],
)
def test_run_that_can_record_no_more_ends_with_one_line(
    spoil, reason, status, new_store, images, tmp_path
):
    store = new_store("small disk")
    if spoil is fill_disk:
        kept = tmp_path / "kept.db"
        shutil.copy(store.sqlite_path, kept)
        mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", store.folder]
        if not shutil.which("mount") or subprocess.call(mount, stderr=subprocess.DEVNULL):
            pytest.skip("mounts are not allowed here")
        shutil.copy(kept, store.sqlite_path)
    try:
        process = start("collect", images, *ENDLESS, "--store", store.uri, cwd=tmp_path)
        until(lambda: epochs(store) > 3 or process.poll() is not None)
        spoil(process, store)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1, err
        *_, last, command = err.splitlines()
        assert command.startswith(f"continue with: autoplace resume {ledger_of(store).parent.name}")
        assert last.startswith(f"Error: cannot write the ledger {ledger_of(store)}: {reason}")
        assert last.endswith(f"kept in {ledger_of(store).parent}")
        assert "Traceback" not in err
        if status is not None:
            assert_closed(store, status)
        else:
            (run,) = push_unsent(store)
            assert store.client.get_run(run).info.status == "KILLED"
    finally:
        if spoil is fill_disk:
            subprocess.check_call(["umount", "-l", store.folder])


def test_results_that_cannot_be_printed_end_with_one_line(tmp_path):
    with Path("/dev/full").open("w") as full:
        process = start("tasks", "--json", cwd=tmp_path, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert "No space left on device; free some space; what was recorded before is kept" in line


def test_messages_that_cannot_be_printed_stop_nothing(tmp_path, images):
    with Path("/dev/full").open("w") as full:
        process = start(
            *("pick", images, "--dry-run", "--json", "--backbone", "fashion-vit8"),
            cwd=tmp_path,
            stderr=full,
        )
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert json.loads(out)["finalists"]


def test_reader_that_has_seen_enough_is_no_error(tmp_path):
    process = start("tasks", "--json", cwd=tmp_path)
    with process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_ui_on_a_port_in_use_is_one_line_at_once(new_store):
    store = new_store()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        begun = time.monotonic()
        for option in (["--port", port], [f"--port={port}"], ["-p", port], [f"-p{port}"]):
            done = run_here("ui", *option, "--store", store.uri, cwd=store.folder)
            assert done.code == 2
            (line,) = done.err.splitlines()
            assert f"port {port} of 127.0.0.1 is in use" in line
            assert f"autoplace ui --port {port + 1}" in line
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "options", [["--port", "many"], ["--port", "70000"], ["--host", "no host"]]
)
def test_ui_at_an_address_that_is_none_is_refused(options, new_store):
    store = new_store()
    done = run_here("ui", *options, "--store", store.uri, cwd=store.folder)
    assert (done.code, len(done.err.splitlines())) == (2, 1)


def test_ctrl_c_ends_the_ui_with_all_its_processes(new_store):
    store = new_store()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start("ui", "--port", port, "--store", store.uri, cwd=store.folder)

    def answers() -> bool:
        try:
            return urlopen(f"http://127.0.0.1:{port}/health").status == 200
        except OSError:
            return process.poll() is not None

    until(answers)
    servers = psutil.Process(process.pid).children(recursive=True)
    assert servers
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert time.monotonic() - begun < 6  # two seconds on an idle machine
    assert process.returncode == 130
    assert not [server for server in servers if server.is_running()]


def in_terminal(columns: int, *arguments: object, cwd: Path) -> list[str]:
    """The lines that a command prints into a terminal of this width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = start(*arguments, cwd=cwd, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(ours)
    process.wait(timeout=60)
    return said.decode().splitlines()


@pytest.mark.parametrize("columns", [40, 80])
def test_what_a_terminal_shows_fits_it(columns, tmp_path):
    lines = in_terminal(columns, "tasks", "digits", cwd=tmp_path)
    assert lines
    assert max(map(len, lines)) <= columns, lines


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_errors_and_lists_fit_the_width(columns, tmp_path):
    lists = (["tasks"], ["adapters"], ["procedures"], ["backbones"])
    for arguments in (*lists, ["pick", "nowhere"], ["ui"]):
        done = run_here(*arguments, cwd=tmp_path, COLUMNS=str(columns))
        for line in (done.out + done.err).splitlines():
            # A path or an address is never broken.
            assert len(line) <= columns or len(line.split()) == 1, line


ROWS = [(1, "0>1+2>3+…(24 edges)@lora:maps=qkv,r=2", "every-block", 1.8479, None, 0.7175, 0.1275),
        (2, "head-only", "head-only", -6.25, 0.0, 0.59, 0.0)]  # fmt: skip
HEADER = ("#", "placement", "role", "score", "predicted", "val", "gain")


@pytest.mark.parametrize("width", range(30, 121, 10))
def test_table_of_any_width_shows_every_cell(width):
    text = table(HEADER, ROWS, width)
    assert max(map(len, text.splitlines())) <= width
    flat = "".join(text.split())
    for cell in ("1.8479", "0.7175", "-6.2500", "every-block", "head-only"):
        assert cell in flat


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_progress_shows_stage_and_count_at_any_width(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    bars = BarProgress()
    bars.stage("Fine-tuning 24 placements on a data set with a long name", 20)
    with bars.rich.console.capture() as shown:
        bars.rich.console.print(bars.rich.get_renderable())
    (line,) = shown.get().splitlines()
    assert "Fine-tuning" in line
    assert "0/20" in line


def test_every_command_has_help_for_a_narrow_terminal(tmp_path):
    for command in COMMANDS:
        done = run_here(command, "--help", cwd=tmp_path, COLUMNS="40")
        assert max(map(len, done.out.splitlines())) <= 40, command
