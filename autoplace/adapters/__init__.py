"""Adapter kinds, one file each, their registry and their parameter budget."""

from autoplace.adapters._adapter_plus import AdapterPlus
from autoplace.adapters._adaptformer import AdaptFormer
from autoplace.adapters._base import (
    Adapter,
    AdapterConfig,
    RankConfig,
    StreamAdapter,
    SubLayerAdapter,
    normalise,
    sublayer_of,
)
from autoplace.adapters._bottleneck import Bottleneck
from autoplace.adapters._budget import (
    ParameterBudget,
    count_parameters,
    edge_parameters,
)
from autoplace.adapters._convpass import Convpass
from autoplace.adapters._linear import Linear
from autoplace.adapters._lora import Lora
from autoplace.adapters._registry import (
    adapter_class,
    adapter_config,
    adapter_rank,
    check_adapters,
    create_adapter,
    is_inside,
    list_adapters,
    register_adapter,
)
from autoplace.adapters._tiny_attention import TinyAttention
from autoplace.adapters._wirings import list_wirings, wiring

__all__ = [
    "AdaptFormer",
    "Adapter",
    "AdapterConfig",
    "AdapterPlus",
    "Bottleneck",
    "Convpass",
    "Linear",
    "Lora",
    "ParameterBudget",
    "RankConfig",
    "StreamAdapter",
    "SubLayerAdapter",
    "TinyAttention",
    "adapter_class",
    "adapter_config",
    "adapter_rank",
    "check_adapters",
    "count_parameters",
    "create_adapter",
    "edge_parameters",
    "is_inside",
    "list_adapters",
    "list_wirings",
    "normalise",
    "register_adapter",
    "sublayer_of",
    "wiring",
]
