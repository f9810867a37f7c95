"""Figures drawn from tables."""

from autoplace.report._figures import predicted_versus_measured, probe_heat_maps

__all__ = ["predicted_versus_measured", "probe_heat_maps"]
