"""Whether this installation can work: versions, device, store, backbone, predictor."""

from __future__ import annotations

import json
from typing import Any

from autoplace.agent._predicting import predictor_in_charge
from autoplace.agent._recorder import library_versions
from autoplace.backbones import create_chain
from autoplace.errors import UserError
from autoplace.settings import StoreSettings
from autoplace.tracking import Store
from autoplace.training import resolve_device
from predictors import PredictorError


def examine(settings: StoreSettings) -> dict[str, Any]:
    """`versions`, `device`, `store` (URI), `predictor`, `starter` and a list of `problems`.

    The URI is shown without its password.
    """
    store = Store(settings.store)
    problems = []
    found: dict[str, Any] = {
        "versions": json.loads(library_versions()),
        "device": str(resolve_device("auto")),
        "store": store.address,
    }
    try:
        store.check()
    except UserError as error:
        problems.append(str(error))
    try:
        found["predictor"] = predictor_in_charge(store, None).origin
    except (UserError, PredictorError) as error:
        problems.append(str(error))
    try:
        found["starter"] = create_chain("starter").weights_sha256
    except UserError as error:
        problems.append(str(error))
    return found | {"problems": problems}
