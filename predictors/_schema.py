"""The feature schema: which columns a predictor reads, of what type, and what each means."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from ._errors import PredictorError, SchemaMismatchError
from .vocabulary import ADAPTER_KINDS

RANKED_STATISTICS = {
    "gradient_rank": "numerical rank of the gradient at relative tolerance 1e-2",
    "stable_rank": "stable rank of the gradient",
    "effective_rank": "effective rank of the gradient",
    "frobenius_norm": "(log) Frobenius norm of the gradient",
    "snr": "signal-to-noise of the gradient over micro-batches",
    "energy_r8": "share of the gradient's energy in its top 8 directions",
}
NORMS = ("frobenius_norm", "spectral_norm", "nuclear_norm")
# What the probe measures at the maps inside sub-layers.
SITE_STATISTICS = {
    "stable_rank": "stable rank of the gradient of the map's weight",
    "frobenius_norm": "Frobenius norm of the gradient of the map's weight",
    "gamma_norm": "norm of the gradient of a scale of the map's output",
    "beta_norm": "norm of the gradient of a shift of the map's output",
}
MAPS = ("norm", "q", "k", "v", "o", "fc1", "fc2")
EDGE_KINDS = ("sequential", "parallel", "long_range", "recurrent")


@dataclass(frozen=True)
class Column:
    """One column of the feature matrix.

    Parameters
    ----------
    name : str
        Name of the column.
    dtype : str
        `"float64"` or `"str"`.
    role : str
        A `"feature"` is what a predictor learns from; a `"key"` identifies the row and is read
        only by predictors that look rows up (mean-table) or draw at random (random).
    meaning : str
        What the column says, for people.
    measured : bool, default=False
        Whether it depends on the task, and not on placement and backbone alone.

    Examples
    --------
    >>> import predictors
    >>> column = predictors.SCHEMA.columns[2]
    >>> column.name, column.meaning, column.measured
    ('n_edges', 'number of edges', False)
    """

    name: str
    dtype: Literal["float64", "str"]
    role: Literal["feature", "key"]
    meaning: str
    measured: bool = False


@dataclass(frozen=True)
class FeatureSchema:
    """The columns of a feature matrix, with the version that an artefact is stamped with.

    The version rises with every change to a column's name, type, role, order or computation.

    Parameters
    ----------
    schema_version : int
        Version of the schema.
    columns : tuple of Column
        In order.

    Examples
    --------
    >>> import predictors
    >>> predictors.SCHEMA.names[:4], len(predictors.SCHEMA.features)
    (['backbone', 'placement', 'n_edges', 'unroll'], 73)
    """

    schema_version: int
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Every column, in order."""
        return [column.name for column in self.columns]

    @property
    def features(self) -> list[str]:
        """The columns that predictors learn from, in order."""
        return [column.name for column in self.columns if column.role == "feature"]

    @property
    def placement_features(self) -> list[str]:
        """Those features that do not depend on the task."""
        return [each.name for each in self.columns if each.role == "feature" and not each.measured]

    def check(self, X: pd.DataFrame) -> pd.DataFrame:
        """Check the columns of a feature matrix and put them in the schema's order.

        Parameters
        ----------
        X : DataFrame (rows, columns)
            Columns of the schema, in any order.

        Returns
        -------
        DataFrame (rows, columns)

        Raises
        ------
        PredictorError
            A column is missing, unknown, there twice or of another type.
        """
        if not isinstance(X, pd.DataFrame):
            raise PredictorError(
                f"features must be a pandas DataFrame, not {type(X).__name__}; "
                "make them with build_features"
            )
        missing = [name for name in self.names if name not in X.columns]
        unknown = [str(name) for name in X.columns if name not in self.names]
        if missing or unknown or not X.columns.is_unique:
            raise PredictorError(
                f"the columns are not those of feature schema {self.schema_version} "
                f"(missing: {_listing(missing)}; unknown: {_listing(unknown)}); "
                "make them with build_features"
            )
        wrong = [column.name for column in self.columns if not _has_type(X[column.name], column)]
        if wrong:
            raise PredictorError(
                f"columns of another type than feature schema {self.schema_version} says: "
                f"{_listing(wrong)}; make them with build_features"
            )
        return X[self.names]

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as plain JSON values."""
        return {
            "schema_version": self.schema_version,
            "columns": [asdict(column) for column in self.columns],
        }

    def check_stamp(self, stamp: dict[str, Any]) -> None:
        """Check that an artefact was made under this schema.

        Meanings may be reworded between releases; names, types, roles and their order may not.

        Parameters
        ----------
        stamp : dict
            The `to_dict` of the artefact's schema.

        Raises
        ------
        SchemaMismatchError
            It is another schema.
        """
        theirs = stamp["schema_version"]
        if theirs != self.schema_version:
            differs = f"feature schema {theirs}, but this release computes {self.schema_version}"
        elif [(c["name"], c["dtype"], c["role"]) for c in stamp["columns"]] != [
            (c.name, c.dtype, c.role) for c in self.columns
        ]:
            differs = f"feature schema {theirs} with other columns than this release computes"
        else:
            return
        raise SchemaMismatchError(
            f"the predictor was trained on {differs}; retrain it or install the release that "
            "made it"
        )


def _listing(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "") if names else "none"


def _has_type(values: pd.Series[Any], column: Column) -> bool:
    if column.dtype == "str":
        return bool(pd.api.types.is_string_dtype(values))
    return str(values.dtype) == column.dtype


def _feature(name: str, meaning: str) -> Column:
    return Column(name, "float64", "feature", meaning)


def _measured(name: str, meaning: str) -> Column:
    return Column(name, "float64", "feature", meaning, measured=True)


def _depths(end: str) -> list[Column]:
    return [
        _feature(f"{end}_{which}", f"{which} {end} node of the edges, as a share of n - 1")
        for which in ("lowest", "mean", "highest")
    ]


SCHEMA = FeatureSchema(
    schema_version=2,
    columns=(
        Column("backbone", "str", "key", "name of the backbone"),
        Column("placement", "str", "key", "canonical text form of the placement"),
        _feature("n_edges", "number of edges"),
        _feature("unroll", "number of passes T"),
        _feature("log_rank", "mean over edges of the log of the adapter's rank"),
        _feature("log_parameters", "log of the trainable parameters of all adapters together"),
        *(
            _feature(f"fraction_{kind}", f"share of the edges that are {kind}")
            for kind in EDGE_KINDS
        ),
        *_depths("target"),
        *_depths("source"),
        _feature("span_mean", "mean |target - source| of the edges, as a share of n - 1"),
        _feature("fraction_stream", "share of the edges whose adapter reads and adds to nodes"),
        _feature("fraction_inside", "share of the edges whose adapter is inside a sub-layer"),
        *(
            _feature(f"fraction_{name}", f"share of the edges whose adapter is of the kind {name}")
            for name in ADAPTER_KINDS
        ),
        *(
            _feature(f"fraction_{name}", f"share of the edges whose adapter changes the map {name}")
            for name in MAPS
        ),
        *(
            _measured(
                f"{name}_percentile_{how}", f"{how} over edges of the within-task rank: {text}"
            )
            for name, text in RANKED_STATISTICS.items()
            for how in ("mean", "max")
        ),
        *(
            _measured(f"log_{name}_{how}", f"{how} over edges of the log of the gradient's {name}")
            for name in NORMS
            for how in ("mean", "max")
        ),
        *(
            _measured(
                f"site_{name}_percentile_{how}",
                f"{how} over the maps that adapters inside sub-layers change of the within-task "
                f"rank: {text}",
            )
            for name, text in SITE_STATISTICS.items()
            for how in ("mean", "max")
        ),
        _measured("sketch_cosine_mean", "mean |cosine| between the gradient sketches of two edges"),
        _measured("separability_target", "separability at the lowest target minus the last node's"),
        _measured("separability_source", "separability at the lowest source minus the last node's"),
        _measured("n_classes", "classes of the task"),
        _measured("n_train", "training images of the task"),
        _measured("head_accuracy", "accuracy of the probe's cross-fitted head"),
        _feature("n_nodes", "nodes of the backbone"),
        _feature("dim", "width of the residual stream"),
    ),
)
