"""The options of where trials run: in this process, in others, or on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass

from autoplace.errors import UserError
from autoplace.settings._base import Settings, option


@dataclass(frozen=True, kw_only=True)
class ExecutorSettings(Settings):
    """Where trials run, and with which share of the machines.

    Examples
    --------
    >>> ExecutorSettings().uses_ray, ExecutorSettings(workers=2).uses_ray
    (False, True)
    """

    heading = "Workers"

    executor: str = option(
        "in-process",
        "Where trials run: 'in-process', or 'ray' for workers on a Ray cluster.",
        choices=("in-process", "ray"),
    )
    ray_address: str | None = option(
        None,
        "With --executor ray, the cluster's address as HOST:PORT; default: RAY_ADDRESS, else the "
        "cluster that runs on this machine.",
    )
    workers: int | None = option(
        None,
        "Number of worker processes, which train independently. With --executor ray, on the "
        "cluster, by default as many as fit; else on this machine, by default none.",
        low=1,
    )
    worker_cpus: int | None = option(
        None,
        "CPU cores of each worker; on a CPU, it trains one placement on each. Default: 1.",
        low=1,
    )
    worker_gpus: float | None = option(
        None,
        "GPUs of each worker: 0, 1 or a share such as 0.5. Default: 1 if trials run on a GPU.",
        low=0.0,
        high=1.0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ray_address is not None and self.executor != "ray":
            raise UserError("--ray-address has no effect alone; add --executor ray")
        for flag, value in (
            ("--worker-cpus", self.worker_cpus),
            ("--worker-gpus", self.worker_gpus),
        ):
            if value is not None and not self.uses_ray:
                raise UserError(f"{flag} has no effect alone; add --workers or --executor ray")

    @property
    def uses_ray(self) -> bool:
        """Whether trials run in worker processes."""
        return self.executor == "ray" or self.workers is not None
