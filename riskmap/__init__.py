"""Transfer risk maps: see, measure and mitigate pixel-level negative transfer in medical image segmentation.

The three names at the top are the method (Duan et al., ICASSP 2025, arXiv 2502.02340); every other module
holds what the notebooks share. They are imported on first use, so that ``python -m riskmap`` also runs on an
interpreter that has none of the requirements yet.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from riskmap.project.hub import limit_threads
from riskmap.project.user import furnish_user

if TYPE_CHECKING:
    from riskmap.leep import LeepStatistics
    from riskmap.loss import RiskWeightedLoss
    from riskmap.risk import TransferRiskMap

__version__ = "0.1.0"

_PUBLIC = {
    "LeepStatistics": "riskmap.leep",
    "TransferRiskMap": "riskmap.risk",
    "RiskWeightedLoss": "riskmap.loss",
}
__all__ = ["LeepStatistics", "RiskWeightedLoss", "TransferRiskMap", "__version__"]

# before torch and MONAI are loaded, here or in a process that this one starts
furnish_user()
limit_threads()


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'riskmap' has no attribute {name!r}")
