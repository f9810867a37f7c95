"""From the text a user gives as DATA to a data set."""

from __future__ import annotations

import os
from collections.abc import Callable

from PIL import Image
from torch import Tensor

from autoplace.data._builtin import PREFIX, load_builtin
from autoplace.data._errors import DataError
from autoplace.data._task_data import TaskData


def load_data(
    source: str | os.PathLike[str],
    *,
    transform: Callable[[Image.Image], Tensor],
    seed: int = 0,
    max_bad: float = 0.01,
    family: str | None = None,
) -> TaskData:
    text = os.fspath(source)
    if text.startswith(PREFIX):
        return load_builtin(text, transform=transform, seed=seed, max_bad=max_bad, family=family)
    raise DataError("not yet")
