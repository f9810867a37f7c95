"""Where adapters can go: edges, placements, their text form and their generators."""

from autoplace.placement._adapter_spec import AdapterSpec
from autoplace.placement._edge import Edge, EdgeKind
from autoplace.placement._errors import PlacementError
from autoplace.placement._placement import Placement

__all__ = ["AdapterSpec", "Edge", "EdgeKind", "Placement", "PlacementError"]
