"""Adapter kinds, one file each, their registry and their parameter budget."""

from autoplace.adapters._base import Adapter, AdapterConfig, normalise
from autoplace.adapters._bottleneck import Bottleneck
from autoplace.adapters._budget import (
    ParameterBudget,
    count_parameters,
    edge_parameters,
)
from autoplace.adapters._linear import Linear
from autoplace.adapters._registry import (
    adapter_config,
    check_adapters,
    create_adapter,
    list_adapters,
    register_adapter,
)

__all__ = [
    "Adapter",
    "AdapterConfig",
    "Bottleneck",
    "Linear",
    "ParameterBudget",
    "adapter_config",
    "check_adapters",
    "count_parameters",
    "create_adapter",
    "edge_parameters",
    "list_adapters",
    "normalise",
    "register_adapter",
]
