"""Ways in which a process is ended: signals, a power cut, a full disk, too little memory."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from forked import Command

Injection = Callable[[Command, Path, random.Random], str]  # returns what was done

DISK = "24m"  # of a store on a disk that becomes full
CGROUPS = Path("/sys/fs/cgroup")


def _signal(number: signal.Signals) -> Injection:
    def send(process: Command, folder: Path, rng: random.Random) -> str:
        process.send_signal(number)
        process.wait()
        return number.name

    return send


def _cut_power(process: Command, folder: Path, rng: random.Random) -> str:
    """Kill a process and cut the last line of its ledger, as if it had been written in part."""
    process.kill()
    process.wait()
    for ledger in folder.glob("runs/*/ledger.jsonl"):
        content = ledger.read_bytes()
        last = len(content) - (content[:-1].rfind(b"\n") + 1)
        cut = rng.randint(1, last - 1) if last > 1 else 0
        with ledger.open("r+b") as file:
            file.truncate(len(content) - cut)
        return f"{cut} of the last {last} bytes cut"
    return "no ledger yet"


def _fill_disk(process: Command, folder: Path, rng: random.Random) -> str:
    """Leave no block free on the store's disk until the process has ended; then free them."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    process.wait()
    filler.unlink()
    return "full, then freed"


def _run_out_of_memory(process: Command, folder: Path, rng: random.Random) -> str:
    """Have the kernel kill a process that needs more memory than it may have.

    Without control groups, the signal that the kernel would send is sent.
    """
    group = CGROUPS / f"autoplace-faults-{os.getpid()}"
    controllers = CGROUPS / "cgroup.subtree_control"
    if controllers.exists() and "memory" in controllers.read_text().split():
        with suppress(OSError):
            group.mkdir()
            (group / "cgroup.procs").write_text(str(process.pid))
            (group / "memory.max").write_text(str(2**20))
            process.wait(timeout=120)
            group.rmdir()
            return "by the kernel, in a control group"
    process.kill()
    process.wait()
    return "SIGKILL, as the kernel sends it"


FAULTS: dict[str, Injection] = {
    "kill -9": _signal(signal.SIGKILL),
    "SIGTERM": _signal(signal.SIGTERM),
    "SIGHUP": _signal(signal.SIGHUP),
    "SIGINT": _signal(signal.SIGINT),
    "power cut": _cut_power,
    "full disk": _fill_disk,
    "out of memory": _run_out_of_memory,
}
# The status that MLflow shows of a run then; one that was killed could not say anything.
STATUS = {"SIGTERM": "KILLED", "SIGHUP": "KILLED", "SIGINT": "KILLED", "full disk": "FAILED"}


def mount_small_disk(folder: Path) -> bool:
    """Mount a disk of a few MB; False where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(folder)]
    return bool(shutil.which("mount")) and not subprocess.call(command, stderr=subprocess.DEVNULL)


def unmount(folder: Path) -> None:
    """Unmount it, also while files on it are open."""
    subprocess.check_call(["umount", "-l", str(folder)])
