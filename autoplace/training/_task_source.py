"""From what a task was opened: enough to open the same task in another process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autoplace.backbones import ResidualChain, create_chain
from autoplace.data import TaskData, create_transform, load_data, short_digest
from autoplace.settings import InputSettings, TaskSettings
from autoplace.training._device import resolve_device
from autoplace.training._task import Task


@dataclass(frozen=True)
class TaskSource:
    """Names of a data set and a backbone, and how they are read: plain values.

    Parameters
    ----------
    data : str
        An image folder, a manifest, or `builtin:NAME`.
    settings : TaskSettings
        Backbone, metric and seed.
    inputs : InputSettings
        What trials read, and where it is cached.
    measure : bool, default=False
        Whether a built-in task gets its measurement split.

    Examples
    --------
    >>> from autoplace.agent import open_task
    >>> task = open_task("builtin:digits")
    >>> again = task.source.open()
    >>> again.fingerprint == task.fingerprint
    True
    """

    data: str
    settings: TaskSettings
    inputs: InputSettings
    measure: bool = False

    def load_chain(self) -> ResidualChain:
        """Load the backbone, on the CPU."""
        return create_chain(self.settings.backbone, checkpoint=self.settings.checkpoint)

    def load_data(self, chain: ResidualChain) -> TaskData:
        """List the images, to be read as the backbone expects them."""
        settings = self.settings
        return load_data(
            self.data,
            transform=create_transform(chain.data_config),
            seed=settings.seed,
            max_bad=settings.max_bad,
            max_pixels=settings.max_pixels,
            family=settings.family,
            measure=self.measure,
            path_column=settings.path_column,
            label_column=settings.label_column,
            split_column=settings.split_column,
        )

    def open(
        self,
        chain: ResidualChain | None = None,
        data: TaskData | None = None,
        notify: Callable[[str], None] = lambda text: None,
    ) -> Task:
        """Open the task.

        Parameters
        ----------
        chain : ResidualChain, optional
            The backbone, if it is already loaded.
        data : TaskData, optional
            The data set, if it is already loaded.
        notify : callable, optional
            Called with sentences that the user should know.

        Raises
        ------
        UserError
            The backbone, data set or device cannot be used.
        """
        device = resolve_device(self.settings.device)
        chain = chain or self.load_chain()
        data = data or self.load_data(chain)
        fingerprint = short_digest(
            {
                "data": data.fingerprint,
                "classes": data.classes,
                "backbone": chain.name,
                "weights": chain.weights_sha256,
                "input_size": list(chain.data_config["input_size"]),
            }
        )
        return Task(
            chain,
            data,
            fingerprint=fingerprint,
            metric=self.settings.metric,
            device=device,
            seed=self.settings.seed,
            inputs=self.inputs,
            notify=notify,
            source=self,
        )
