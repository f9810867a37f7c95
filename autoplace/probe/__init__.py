"""What is measured before any training: gradient statistics of every edge from one pass."""

from autoplace.probe._capture import Captured, capture
from autoplace.probe._gradients import GradientSum, gradient_products
from autoplace.probe._head_loss import CrossFittedLoss
from autoplace.probe._probe import run_probe
from autoplace.probe._sampling import probe_rows
from autoplace.probe._separability import separability
from autoplace.probe._spectrum import narrow_sketch, spectrum_statistics
from autoplace.probe._tables import ProbeTables

__all__ = [
    "Captured",
    "CrossFittedLoss",
    "GradientSum",
    "ProbeTables",
    "capture",
    "gradient_products",
    "narrow_sketch",
    "probe_rows",
    "run_probe",
    "separability",
    "spectrum_statistics",
]
