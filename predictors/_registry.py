"""The registry of predictors: register, list with wildcards, create by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from fnmatch import filter as fnmatch_filter
from typing import Any, TypeVar

from ._base import Predictor
from ._errors import PredictorError

_CLASSES: dict[str, type[Predictor]] = {}
_P = TypeVar("_P", bound=type[Predictor])


def register_predictor(name: str) -> Callable[[_P], _P]:
    """Make a predictor class known under a name; a class decorator.

    Parameters
    ----------
    name : str
        A name that is not taken.

    Returns
    -------
    callable
        Returns the class it is given.

    Raises
    ------
    PredictorError
        The name is taken.

    Examples
    --------
    >>> import predictors
    >>> try:
    ...     @predictors.register_predictor("ridge")
    ...     class AnotherRidge(predictors.Predictor): ...
    ... except predictors.PredictorError as error:
    ...     print(error)
    a predictor named 'ridge' is registered already (RidgePredictor); choose another name
    """

    def register(predictor: _P) -> _P:
        if name in _CLASSES:
            raise PredictorError(
                f"a predictor named '{name}' is registered already ({_CLASSES[name].__name__}); "
                "choose another name"
            )
        _CLASSES[name] = predictor
        return predictor

    return register


def list_predictors(pattern: str = "*") -> list[str]:
    """List the names that `create_predictor` knows.

    Parameters
    ----------
    pattern : str, default="*"
        A shell pattern that names must match.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> import predictors
    >>> predictors.list_predictors("gradient-*")
    ['gradient-norm', 'gradient-rank']
    """
    return sorted(fnmatch_filter(_CLASSES, pattern))


def create_predictor(name: str, **settings: Any) -> Predictor:
    """Create an unfitted predictor.

    Parameters
    ----------
    name : str
        One of `list_predictors()`.
    **settings
        Arguments of its constructor.

    Returns
    -------
    Predictor

    Raises
    ------
    PredictorError
        Unknown name.

    Examples
    --------
    >>> import predictors
    >>> predictors.create_predictor("ridge", alpha=1.0)
    RidgePredictor(alpha=1.0)
    """
    if name not in _CLASSES:
        near = get_close_matches(name, _CLASSES, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise PredictorError(
            f"unknown predictor '{name}'; {hint}known: {', '.join(list_predictors())}"
        )
    return _CLASSES[name](**settings)
