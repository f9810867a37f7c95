"""Load the data set that `builtin:NAME` names."""

from __future__ import annotations

from autoplace.data._fingerprint import fingerprint
from autoplace.data._record import DecodingRecord
from autoplace.data._split import ImageSplit
from autoplace.data._task_data import TaskData
from autoplace.data._transforms import ImageTransform
from autoplace.data.builtin._installed import ENVIRONMENT, shared_folder
from autoplace.data.builtin._registry import get_task
from autoplace.data.builtin._task import MEASUREMENT, BuiltinTask
from predictors.vocabulary import FamilySource


def load_builtin(
    source: str,
    *,
    transform: ImageTransform,
    seed: int,
    max_bad: float,
    family: str | None,
    measure: bool = False,
) -> TaskData:
    """Load a built-in task; see `autoplace.data.load_data`, which calls this.

    Parameters
    ----------
    source : str
        "builtin:NAME".
    transform : ImageTransform
        Maps an RGB picture to a tensor of shape (3, height, width).
    seed : int
        Seed of the pictures.
    max_bad : float
        Fraction of the images that may be unreadable.
    family : str or None
        A family to use instead of the task's own.
    measure : bool, default=False
        Whether to make the measurement split, too.

    Raises
    ------
    DataError
        If the name is unknown, or the files that the pictures are made from are not installed.

    Examples
    --------
    >>> from autoplace.data import create_transform
    >>> from autoplace.data.builtin import load_builtin
    >>> transform = create_transform({"input_size": [3, 8, 8]})
    >>> data = load_builtin(
    ...     "builtin:digits", transform=transform, seed=0, max_bad=0.0, family=None
    ... )
    >>> data.family, data.fingerprint[:8]
    ('digits', '5fc7c0bb')
    """
    task = get_task(source)
    pictures = task.pictures(seed)
    extra = task.measurement(seed) if measure else None
    origin = task.origin()
    version = f"{task.name}-v{task.version}{f'-of-{origin}' if origin else ''}"
    made = pictures if extra is None else {**pictures, MEASUREMENT: extra}
    record = DecodingRecord(sum(len(part.labels) for part in made.values()), max_bad)
    splits = {
        split: ImageSplit(
            split,
            [f"{source}/{split}/{i:04d}" for i in range(len(part.labels))],
            part.labels,
            read=part.read,
            transform=transform,
            record=record,
        )
        for split, part in made.items()
    }
    return TaskData(
        name=task.name,
        source=source,
        family=family or task.family,
        family_source=FamilySource.GIVEN if family else FamilySource.BUILTIN,
        group=task.group,
        classes=task.classes,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        measurement=splits.get(MEASUREMENT),
        fingerprint=fingerprint(
            (split, f"{version}/seed={seed}/{i:04d}", task.classes[label], 0)
            for split, part in pictures.items()
            for i, label in enumerate(part.labels)
        ),
        record=record,
        made_val=True,
        notes=[_note(task)] if origin else [],
    )


def _note(task: BuiltinTask) -> str:
    return (
        f"the pictures of '{task.name}' are made from files in {shared_folder()} ({ENVIRONMENT}); "
        "results cannot be compared with those of the usual files"
    )
