"""The errors of this package."""

from __future__ import annotations


class PredictorError(ValueError):
    """Tables, a log or an artefact that a predictor cannot work with.

    The message is one or two lines: what is wrong, and what to do.

    Examples
    --------
    >>> import predictors
    >>> try:
    ...     predictors.create_predictor("lightgmb")
    ... except predictors.PredictorError as error:
    ...     print(error)
    unknown predictor 'lightgmb'; did you mean 'lightgbm'? known: gradient-norm, ...
    """


class SchemaMismatchError(PredictorError):
    """A predictor trained on another feature schema, older or newer, than this release computes.

    The files are intact, but this release cannot use them. A caller may use another predictor.

    Examples
    --------
    >>> import predictors
    >>> try:
    ...     predictors.SCHEMA.check_stamp({"schema_version": 0, "columns": []})
    ... except predictors.SchemaMismatchError as error:
    ...     print(error)
    the predictor was trained on feature schema 0, but this release computes 2; ...
    """
