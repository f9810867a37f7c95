"""The one error of this package."""

from __future__ import annotations


class PredictorError(ValueError):
    """Tables, a log or an artefact that a predictor cannot work with.

    The message is one or two lines: what is wrong, and what to do.
    """
