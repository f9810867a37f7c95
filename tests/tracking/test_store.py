from __future__ import annotations

import http.server
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from autoplace.tracking import Store, TrackingError, start_run


@pytest.fixture
def silent_port():
    """A port that accepts connections and says nothing."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        yield silent.getsockname()[1]


@pytest.fixture
def serve():
    """Starts a web server that gives one answer to everything; returns its address."""
    servers = []

    def start(status: int, body: str) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_POST = do_GET

            def log_message(self, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_importing_the_room_does_not_import_mlflow():
    code = "import sys, autoplace.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_default_store_is_an_absolute_sqlite_file_with_artifacts_beside_it(tmp_path):
    store = Store()
    assert store.uri == f"sqlite:///{tmp_path}/autoplace-store/mlflow.db"
    assert store.folder == tmp_path / "autoplace-store"
    assert store.artifact_root == (tmp_path / "autoplace-store" / "artifacts").as_uri()


def test_argument_comes_before_environment_before_default(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://example.invalid:5000/")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    assert Store().uri == "http://example.invalid:5000"
    assert Store().experiment == "mine"
    assert Store("sqlite:////elsewhere/m.db", "other").uri == "sqlite:////elsewhere/m.db"
    assert Store(experiment="other").experiment == "other"


def test_relative_sqlite_path_stays_the_same_after_a_change_of_folder(tmp_path, monkeypatch):
    store = Store("sqlite:///here/m.db")
    monkeypatch.chdir("/")
    assert store.sqlite_path == tmp_path / "here" / "m.db"


def test_checking_a_store_that_is_not_there_yet_passes_and_creates_nothing(tmp_path):
    store = Store()
    store.check()
    assert not store.exists
    assert list(tmp_path.iterdir()) == []


def test_check_passes_for_a_store_in_use(store):
    start_run(store, "digits", "pick")
    store.check()


@pytest.mark.parametrize("uri", ["mlruns", "file:///x", "ftp://x", "sqlite://", "sqlite:///"])
def test_unsupported_store_is_refused_and_the_supported_ones_are_named(uri):
    with pytest.raises(TrackingError, match="use sqlite:///PATH"):
        Store(uri)


def test_refused_server_is_reported_at_once():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        start = time.monotonic()
        with pytest.raises(TrackingError, match="no MLflow server answers at http://127"):
            Store(f"http://127.0.0.1:{free.getsockname()[1]}").client  # noqa: B018
    assert time.monotonic() - start < 15  # the import of mlflow included


def test_silent_server_is_reported_within_seconds(monkeypatch, silent_port):
    monkeypatch.setattr("autoplace.tracking.store._access._TIMEOUT", 1.0)
    start = time.monotonic()
    with pytest.raises(TrackingError, match="no MLflow server answers at http://127"):
        Store(f"http://127.0.0.1:{silent_port}").check()
    assert time.monotonic() - start < 15  # the import of mlflow included


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", ["You are not authenticated", '{"message": "no"}'])
def test_server_that_refuses_access_is_reported_with_the_settings_for_a_login(serve, status, body):
    with pytest.raises(
        TrackingError, match=r"MLFLOW_TRACKING_USERNAME and .*_PASSWORD or .*_TOKEN"
    ):
        Store(serve(status, body)).check()


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, "<html>A page</html>"), (404, "<html>None</html>"), (500, "failed"), (503, "busy")],
)
def test_server_that_is_not_mlflow_is_named_as_such_at_once(serve, status, body):
    start = time.monotonic()
    with pytest.raises(TrackingError, match=r"http://127.* does not answer as an MLflow server"):
        Store(serve(status, body)).check()
    assert time.monotonic() - start < 15


def test_server_that_answers_passes_and_mlflows_settings_stay_as_they_were(monkeypatch, serve):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    Store(serve(200, '{"experiments": []}')).check()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"  # not the check's own


def test_refused_database_is_reported_without_its_password():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(
            TrackingError, match=r"mysql\+pymysql://me:\*\*\*@127.*refused"
        ) as caught:
            Store(f"mysql+pymysql://me:secret@127.0.0.1:{port}/db").check()
    assert "secret" not in str(caught.value)


def test_silent_database_is_reported_within_seconds(monkeypatch, silent_port):
    monkeypatch.setattr("autoplace.tracking.store._access._TIMEOUT", 1.0)
    with pytest.raises(TrackingError, match="cannot be reached: no answer within 1 seconds"):
        Store(f"mysql+pymysql://me:secret@127.0.0.1:{silent_port}/db").check()


def test_database_whose_driver_is_missing_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)  # as if it were not installed
    with pytest.raises(TrackingError, match="needs the Python package 'pymysql'; install it"):
        Store("mysql+pymysql://me:secret@127.0.0.1:9/db").check()


def test_sqlite_path_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and longer than the header of one would be")
    before = path.read_bytes()
    with pytest.raises(TrackingError, match="not a database"):
        Store(f"sqlite:///{path}").check()
    assert path.read_bytes() == before


def test_sqlite_path_below_a_file_or_at_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match="file is a file"):
        Store(f"sqlite:///{tmp_path}/file/mlflow.db").check()
    with pytest.raises(TrackingError, match="is not a file"):
        Store(f"sqlite:///{tmp_path}").check()


def test_folder_that_cannot_be_written_is_refused(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    try:
        (folder / "probe").touch()
        folder = "/proc/self"  # we are root, whom permission bits do not stop
    except PermissionError:
        pass
    with pytest.raises(TrackingError, match="cannot be written"):
        Store(f"sqlite:///{folder}/store/mlflow.db").check()


def test_database_that_another_program_locks_is_refused(store, monkeypatch):
    monkeypatch.setattr("autoplace.tracking.store._access._TIMEOUT", 0.1)
    other = sqlite3.connect(store.sqlite_path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TrackingError, match="locked"):
        store.check()
    other.close()


KILLED_WRITER = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")  # changed pages are in the file before the commit
connection.execute("BEGIN")
connection.execute("CREATE TABLE half AS SELECT * FROM experiments")
connection.execute("UPDATE experiments SET name = name || zeroblob(100000)")
os._exit(1)
"""


def test_half_a_write_of_a_killed_program_is_undone_whoever_looks_next(store):
    experiment = store.experiment_id("autoplace/digits")
    subprocess.call([sys.executable, "-c", KILLED_WRITER, store.sqlite_path])
    assert store.sqlite_path.with_name("mlflow.db-journal").stat().st_size
    for write in (False, True):
        Store(store.uri).check(write=write)
    assert Store(store.uri).client.get_experiment(experiment).name == "autoplace/digits"


def test_every_message_is_at_most_two_lines(tmp_path):
    (tmp_path / "file").write_text("")
    for uri in ("http://127.0.0.1:9", "mysql+pymysql://127.0.0.1:9/db", f"sqlite:///{tmp_path}"):
        with pytest.raises(TrackingError) as caught:
            Store(uri).check()
        assert len(str(caught.value).splitlines()) <= 2


def test_making_a_store_is_silent_and_writes_beside_nothing_else(first_use):
    folder, done = first_use
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in folder.iterdir()] == ["autoplace-store"]


def test_runs_of_a_task_share_the_experiment_of_the_task(store):
    first, second = start_run(store, "digits", "a"), start_run(store, "digits", "b")
    assert first.experiment_id == second.experiment_id
    assert store.client.get_experiment(first.experiment_id).name == "autoplace/digits"


def test_deleted_experiment_is_an_error_that_says_how_to_restore_it(store):
    run = start_run(store, "digits", "pick")
    store.client.delete_experiment(run.experiment_id)
    with pytest.raises(TrackingError, match=r"was deleted.*\n.*experiments restore"):
        start_run(store, "digits", "pick")


@pytest.mark.parametrize("wanted", [False, True])
def test_mlflow_sends_no_usage_statistics_unless_the_user_wants_it(tmp_path, wanted):
    pytest.importorskip("mlflow.telemetry")
    code = (
        "import sys; from autoplace.tracking import Store; Store(sys.argv[1]).client\n"
        "from mlflow.telemetry import get_telemetry_client\n"
        "client = get_telemetry_client(); print(client is not None)"
    )
    kept = ("PATH", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH")  # MLflow sends nothing from CI
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    if wanted:
        environment["MLFLOW_DISABLE_TELEMETRY"] = "false"
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{tmp_path}/mlflow.db"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split()[-1] == str(wanted)
