"""Adapter kinds, one file each, their registry and their parameter budget."""

from autoplace.adapters._adapter_bias import AdapterBias
from autoplace.adapters._adapter_plus import AdapterPlus
from autoplace.adapters._adaptformer import AdaptFormer
from autoplace.adapters._arc import Arc
from autoplace.adapters._base import (
    Adapter,
    AdapterConfig,
    RankConfig,
    StreamAdapter,
    SubLayerAdapter,
    normalise,
    sublayer_of,
)
from autoplace.adapters._bitfit import BitFit
from autoplace.adapters._bottleneck import Bottleneck
from autoplace.adapters._budget import (
    ParameterBudget,
    count_parameters,
    edge_parameters,
)
from autoplace.adapters._convpass import Convpass
from autoplace.adapters._drop import BatchPart
from autoplace.adapters._layer_norm import LayerNorm
from autoplace.adapters._linear import Linear
from autoplace.adapters._listing import AdapterInfo, describe_adapters
from autoplace.adapters._lora import Lora
from autoplace.adapters._prefix import Prefix
from autoplace.adapters._prompt import Prompt
from autoplace.adapters._registry import (
    adapter_class,
    adapter_config,
    adapter_rank,
    changed_maps,
    check_adapters,
    create_adapter,
    group_of,
    inserts_tokens,
    is_inside,
    list_adapters,
    register_adapter,
)
from autoplace.adapters._ssf import Ssf
from autoplace.adapters._tiny_attention import TinyAttention
from autoplace.adapters._token_adapter import TokenAdapter
from autoplace.adapters._unipelt import Unipelt
from autoplace.adapters._wirings import list_wirings, wiring

__all__ = [
    "AdaptFormer",
    "Adapter",
    "AdapterBias",
    "AdapterConfig",
    "AdapterInfo",
    "AdapterPlus",
    "Arc",
    "BatchPart",
    "BitFit",
    "Bottleneck",
    "Convpass",
    "LayerNorm",
    "Linear",
    "Lora",
    "ParameterBudget",
    "Prefix",
    "Prompt",
    "RankConfig",
    "Ssf",
    "StreamAdapter",
    "SubLayerAdapter",
    "TinyAttention",
    "TokenAdapter",
    "Unipelt",
    "adapter_class",
    "adapter_config",
    "adapter_rank",
    "changed_maps",
    "check_adapters",
    "count_parameters",
    "create_adapter",
    "describe_adapters",
    "edge_parameters",
    "group_of",
    "inserts_tokens",
    "is_inside",
    "list_adapters",
    "list_wirings",
    "normalise",
    "register_adapter",
    "sublayer_of",
    "wiring",
]
