"""Explorers: sliders over the plot functions. Move a control and the picture and the sentence below it follow."""

from riskmap.explore_images import busiest_slice, explore_cohort, explore_risk_map
from riskmap.explore_leep import explore_leep
from riskmap.explore_results import explore_few_shot, explore_gap_matrix, explore_predictions

__all__ = [
    "busiest_slice",
    "explore_cohort",
    "explore_few_shot",
    "explore_gap_matrix",
    "explore_leep",
    "explore_predictions",
    "explore_risk_map",
]
