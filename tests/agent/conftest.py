"""One small probe of the starter, shared by the tests of what is made from it."""

from __future__ import annotations

import pytest

from autoplace.probing import ProbeTables, run_probe
from autoplace.settings import ProbeSettings


@pytest.fixture(scope="session")
def tables(task) -> ProbeTables:
    settings = ProbeSettings(probe_images=16, probe_batch=8)
    return run_probe(task.chain, task.data.train, len(task.data.classes), settings)
