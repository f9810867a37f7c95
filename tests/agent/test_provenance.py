"""The recorded commit is that of autoplace's own source and of no repository around it."""

from __future__ import annotations

import json
import subprocess

from autoplace.agent.steps._provenance import git_commit, library_versions


def repository(folder, *files):
    """A repository with one commit of these files, and the commit."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    done = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_checkout_of_autoplace_gives_its_commit(tmp_path):
    commit = repository(tmp_path, "autoplace/__init__.py")
    assert git_commit(tmp_path) == commit


def test_a_repository_around_the_installation_is_not_its_source(tmp_path):
    installed = tmp_path / ".venv" / "lib" / "site-packages"
    repository(tmp_path, "train.py", ".venv/lib/site-packages/autoplace/__init__.py")
    assert git_commit(installed) is None


def test_a_package_that_its_folder_does_not_track_has_no_commit(tmp_path):
    repository(tmp_path, "notes.txt")
    (tmp_path / "autoplace").mkdir()
    (tmp_path / "autoplace" / "__init__.py").touch()
    assert git_commit(tmp_path) is None


def test_a_folder_without_a_repository_has_no_commit(tmp_path):
    assert git_commit(tmp_path) is None


def test_versions_name_what_an_outcome_depends_on():
    assert {"python", "autoplace", "torch", "timm"} <= set(json.loads(library_versions()))
