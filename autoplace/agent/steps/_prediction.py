"""The prediction for an image, and files of predictions: CSV, Parquet or JSON Lines."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoplace.errors import UserError
from autoplace.tracking import to_json

SUFFIXES = (".csv", ".parquet", ".jsonl")


@dataclass(frozen=True)
class Prediction:
    """The predicted class of an image.

    Attributes
    ----------
    path : str
        The image file.
    predicted : str
        Name of the most probable class.
    probability : float
        Its probability.
    probabilities : mapping of str to float
        Those of all classes, if they were asked for.

    Examples
    --------
    >>> Prediction("photo.jpg", "cat", 0.75).to_dict()
    {'path': 'photo.jpg', 'predicted': 'cat', 'probability': 0.75}
    """

    path: str
    predicted: str
    probability: float
    probabilities: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return names and values; probabilities only if they were asked for."""
        everything = {"probabilities": dict(self.probabilities)} if self.probabilities else {}
        return self._best | everything

    def to_row(self) -> dict[str, Any]:
        """Return cells of a table by column; the probability of a cat is `probability:cat`."""
        return self._best | {f"probability:{name}": p for name, p in self.probabilities.items()}

    @property
    def _best(self) -> dict[str, Any]:
        return {"path": self.path, "predicted": self.predicted, "probability": self.probability}


def check_out(path: str | Path) -> None:
    """Raise UserError, before anything is computed, if predictions cannot be written to `path`.

    Examples
    --------
    >>> check_out("predictions.xlsx")
    Traceback (most recent call last):
    autoplace.errors.UserError: --out is predictions.xlsx; it must end in .csv, .parquet or .jsonl
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out is {path}; it must end in .csv, .parquet or .jsonl")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"--out {path} cannot be written; give a file in a folder that exists")


def write_predictions(predictions: Sequence[Prediction], path: str | Path) -> None:
    """Write predictions, all of them or no file at all.

    In a table, the probability of class `cat` is the column `probability:cat`.

    Raises
    ------
    OSError
        The file cannot be written.

    Examples
    --------
    >>> from autoplace.agent import Prediction
    >>> write_predictions([Prediction("a.png", "cat", 0.75)], "found.csv")
    >>> print(Path("found.csv").read_text())
    path,predicted,probability
    a.png,cat,0.75
    """
    import pandas as pd

    path = Path(path)
    table = pd.DataFrame([_printable(each.to_row()) for each in predictions])
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        match path.suffix.lower():
            case ".csv":
                table.to_csv(new, index=False)
            case ".parquet":
                table.to_parquet(new, index=False)
            case _:
                lines = (to_json(_printable(each.to_dict())) for each in predictions)
                new.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def _printable(row: dict[str, object]) -> dict[str, object]:
    """Escape what is not text in the name of a file; no format could hold it."""
    return row | {"path": str(row["path"]).encode("utf-8", "backslashreplace").decode("utf-8")}
