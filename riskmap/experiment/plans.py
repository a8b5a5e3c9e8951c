"""The plans that can be run by name: the published experiment, and a tiny one that tests every step of it."""

from riskmap.experiment.plan import ARMS_WITH_OWN_RATE, Block, Pair, Plan
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig

_GLIOMA, _SITES, _INFANT = "fets2021_experiment", "fets2021_sites", "iseg2019_experiment"
_PAIRS = (
    Pair(_GLIOMA, "FLAIR:WT", "T1ce:TC"),
    Pair(_GLIOMA, "T2:WT", "T1ce:TC"),
    Pair(_GLIOMA, "FLAIR:WT", "T1ce:ET"),
    Pair(_GLIOMA, "T1:WT", "FLAIR:WT"),
    Pair(_GLIOMA, "T2:WT", "T1:WT"),
    Pair(_SITES, "T1ce:TC", "T1ce:TC"),
    Pair(_INFANT, "T1:TISSUE", "T2:TISSUE"),
    Pair(_INFANT, "T2:TISSUE", "T1:TISSUE"),
)
_MAPS = ("risk_map_paper", "risk_map_hardness", "risk_map_focused")
_BASELINES = ("scratch", "fine_tune", "class_balanced", "focal", "top_k")
_MAIN_ARMS = (*_BASELINES, *(arm for each in _MAPS for arm in (each, f"{each}_shuffled")))
_OTHER_ARMS = (
    *("linear_probe", "discriminative_rate", "l2_sp", "boundary", "foreground_normalised"),
    *("risk_map_paper_mean_one", "risk_map_hardness_class_mean", "hard_label", "scratch_hardness"),
)
# every arm of the plan that is no control, and the tutorial's map
_ARMS_WITH_OWN_RATE = tuple(arm for arm in ARMS_WITH_OWN_RATE if arm in {*_MAIN_ARMS, *_OTHER_ARMS, "risk_map"})
_FEW_SHOT_ARMS = ("scratch", "fine_tune", "class_balanced", "risk_map_paper", "risk_map_focused")
PUBLISHED = Plan(
    name="experiment",
    main=Block(_PAIRS, _MAIN_ARMS, shots=(3,), seeds=(0, 1, 2, 3, 4)),
    further=Block(_PAIRS[:1], _OTHER_ARMS, shots=(3,), seeds=(0, 1, 2)),
    few_shots=(
        Block((_PAIRS[0], _PAIRS[1], _PAIRS[6]), _FEW_SHOT_ARMS, shots=(1,), seeds=(0, 1, 2)),
        Block(_PAIRS[:1], _FEW_SHOT_ARMS, shots=(8,), seeds=(0, 1, 2)),
    ),
    every_rate=Block(_PAIRS[:2], _FEW_SHOT_ARMS[1:], shots=(3,), seeds=(0, 1, 2)),
    rate_search=Block(
        (
            Pair("fets2021_dev", "FLAIR:WT", "T1ce:TC"),
            Pair("fets2021_dev", "T1:WT", "FLAIR:WT"),
            Pair("iseg2019_dev", "T1:TISSUE", "T2:TISSUE"),
        ),
        _ARMS_WITH_OWN_RATE,
        shots=(3,),
        seeds=(0,),
    ),
    rates=(2.0e-3, 6.0e-3),
    # as its records have it, which are of the recipe before
    source_training=TrainingConfig(400, 2.0e-3),
)
_SHORT = TrainingConfig(steps=4, patches=PatchConfig(size=16, per_step=4))
_TINY_PAIRS = (Pair("fets2021_tiny", "FLAIR:WT", "T1ce:TC"), Pair("iseg2019_tiny", "T1:TISSUE", "T2:TISSUE"))
SMOKE = Plan(
    name="smoke",
    main=Block(_TINY_PAIRS, _MAIN_ARMS, shots=(1,), seeds=(0, 1), draws=(0,)),
    further=Block(_TINY_PAIRS[:1], _OTHER_ARMS, shots=(1,), seeds=(0, 1), draws=(0,)),
    few_shots=(Block(_TINY_PAIRS[:1], _FEW_SHOT_ARMS, shots=(2,), seeds=(0, 1), draws=(0,)),),
    every_rate=Block(_TINY_PAIRS[:1], _FEW_SHOT_ARMS[1:], shots=(1,), seeds=(0, 1), draws=(0,)),
    rate_search=Block(_TINY_PAIRS[:1], _ARMS_WITH_OWN_RATE, shots=(1,), seeds=(0,)),
    rates=(2.0e-3, 6.0e-3),
    source_training=_SHORT,
    transfer_training=_SHORT,
    network=NetworkConfig(channels=(4, 8)),
)
PLANS = {"published": PUBLISHED, "smoke": SMOKE}
