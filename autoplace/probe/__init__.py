"""What is measured before any training: gradient statistics of every edge from one pass."""

from autoplace.probe._capture import Captured, capture
from autoplace.probe._gradients import GradientSum, gradient_products
from autoplace.probe._head_loss import HeldOutLoss
from autoplace.probe._measurement import Measurement
from autoplace.probe._micro_batches import deal
from autoplace.probe._probe import measure_held_out, run_probe
from autoplace.probe._separability import separability
from autoplace.probe._sketch import Sketch
from autoplace.probe._spectrum import OverlapSketch, spectrum_statistics
from autoplace.probe._tables import ProbeTables

__all__ = [
    "Captured",
    "GradientSum",
    "HeldOutLoss",
    "Measurement",
    "OverlapSketch",
    "ProbeTables",
    "Sketch",
    "capture",
    "deal",
    "gradient_products",
    "measure_held_out",
    "run_probe",
    "separability",
    "spectrum_statistics",
]
