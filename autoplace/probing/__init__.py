"""The probe: statistics of every edge, node and map, measured before any training."""

from autoplace.probing._capture import Captured, capture
from autoplace.probing._gradients import GradientSum, gradient_products
from autoplace.probing._head_loss import HeldOutLoss
from autoplace.probing._measurement import Measurement
from autoplace.probing._micro_batches import deal
from autoplace.probing._probe import measure_held_out, run_probe
from autoplace.probing._separability import separability
from autoplace.probing._sites import SITE_COLUMNS, SiteSums
from autoplace.probing._sketch import Sketch
from autoplace.probing._spectrum import OverlapSketch, spectrum_statistics
from autoplace.probing._tables import ProbeTables

__all__ = [
    "SITE_COLUMNS",
    "Captured",
    "GradientSum",
    "HeldOutLoss",
    "Measurement",
    "OverlapSketch",
    "ProbeTables",
    "SiteSums",
    "Sketch",
    "capture",
    "deal",
    "gradient_products",
    "measure_held_out",
    "run_probe",
    "separability",
    "spectrum_statistics",
]
