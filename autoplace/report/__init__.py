"""Figures drawn from tables."""

from autoplace.report._confusion import confusion_matrix
from autoplace.report._figures import predicted_versus_measured, probe_heat_maps

__all__ = ["confusion_matrix", "predicted_versus_measured", "probe_heat_maps"]
