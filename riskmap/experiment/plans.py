"""The plans that can be run by name: on simulated patients, on real ones, and a tiny one.

Pairs, arms, rates and families were written down before a result of a test patient was read. For want of time the plans
were cut afterwards, and what is cut was decided by time alone: the simulated one when a fifth of its runs had finished
and none of their scores had been read; the blocks of the real one beside its main block and the hard cases twice, the
second time after the simulated results had been read and before a real one. Further arms, ten patients, patients left
out, the other hospital and the hippocampi were run when main block and hard cases had been read. When a difference is
called sure, and how results become sentences, was settled after the simulated results.

*Pairs* were chosen on development patients, from the chart of habits (:mod:`riskmap.experiment.habits`): under good
habits transfer hurts on none of the fourteen simulated ones, so the pairs run from where it helps most (FLAIR:WT to
T1ce:TC) to where it helps least (T1ce:ET to T2:WT), and *hard cases* are added, two of which hurt there. *Learning
rates* are chosen there too, one per arm; a control takes its arm's. Test patients are scored once.

*Statistic.* The Dice of each patient's volume, averaged over draws of target patients and first weights; differences
between arms paired by patient; of several pairs the mean, each pair alike. Intervals are 95 %, from 10,000 bootstrap
samples of the patients of each cohort, a patient with all its pairs. p is Wilcoxon's signed-rank test of the patients,
each averaged over the pairs of its cohort, adjusted by Holm within the family; there patients count alike, in the mean
pairs do. Draws are not resampled: an interval speaks of other patients of the same cohort, not of other draws or
cohorts.

*Families*, each for simulated and for real patients apart, at the number of patients of the main block:

1. transfer: fine-tuning - scratch, one test per pair;
2. remedies: arm - fine-tuning, the mean over pairs, one test per arm of the main block that is no control;
3. places: map - its own shuffled twin, the mean over pairs, one test per map of the main block;
4. transfer, remedies and places once more in the hard cases, the mean over their pairs, one family over all cases;
5. selection: the chosen run - scratch, and - fine-tuning, the mean over pairs; the worst pair is described.

All else (further arms, other numbers of patients, six high-grade gliomas of another hospital, hippocampi) is described
with intervals and no test. The hippocampi are volumes, two of some persons, and the pairing is not published: an
interval over volumes is no claim on patients.
"""

from dataclasses import replace

from riskmap.experiment.plan import ARMS_WITH_OWN_RATE, Block, Pair, Plan
from riskmap.experiment.selection import LOOKS_AT, SELECTIONS
from riskmap.training.arm import TWIN_SUFFIX
from riskmap.training.config import NetworkConfig, PatchConfig, TrainingConfig

_KNOWN = ("scratch", "fine_tune", "class_balanced")
_JUDGED = ("risk_map_paper", "risk_map_centred", "risk_map_focused_sampled")
_ASKED = (*_KNOWN, *(arm for each in _JUDGED for arm in (each, each + TWIN_SUFFIX)))
_MORE = (
    *("random_head", "focal", "top_k", "l2_sp", "beside_source", "scratch_sampled"),
    *("risk_map_hardness", "risk_map_hardness_shuffled", "risk_map_focused", "risk_map_focused_shuffled"),
    *("risk_map_focused_everywhere", "risk_map_focused_everywhere_shuffled"),
    *("risk_map_focused_both", "risk_map_focused_both_shuffled"),
    *("own_error_sampled", "near_label_sampled"),
)
_FEW = (*_KNOWN, "risk_map_paper", "risk_map_paper_shuffled")
# of a case the first arm is scratch, the second the plain transferred network
_POOR = (
    *("scratch", "fine_tune", "class_balanced", "beside_source", "risk_map_paper", "risk_map_paper_shuffled"),
    *("risk_map_focused_sampled", "risk_map_focused_sampled_shuffled"),
)
_SLOW = (
    *("scratch", "discriminative_rate", "class_balanced_slow_body"),
    *("risk_map_paper_slow_body", "risk_map_paper_slow_body_shuffled"),
)
_HURRIED = ("scratch", "random_head", *(arm for arm in _POOR if arm not in ("scratch", "beside_source")))
_LEFT_OUT = SELECTIONS["select_left_out"].arms
_HARMED = ("fine_tune", "risk_map_paper", "risk_map_focused_sampled")
_DRAWS = tuple(range(5))
_RATES = (2.0e-3, 6.0e-3)
_OWN_RATES = tuple(arm for arm in ARMS_WITH_OWN_RATE if arm in {*_ASKED, *_MORE, *_SLOW})
_FEW_REAL = ("scratch", "fine_tune", "risk_map_paper", "risk_map_paper_shuffled")
_MORE_REAL = ("random_head", "beside_source", "scratch_sampled", "own_error_sampled", "near_label_sampled")
_TRANSFER = TrainingConfig(validate_at=LOOKS_AT[:-1])
_POOR_SOURCE = 100


def _hard_cases(pairs: tuple[Pair, ...]) -> tuple[Block, ...]:
    """Return the cases in which transfer may hurt, each on the same pairs.

    One patient and a poor source, under habits that are good otherwise: each alone hurt on no development pair,
    together they were not tried there. The body at a tenth of the rate, as people train large networks, and all in a
    hurry (few steps, a low rate, a random head, a poor source and one patient): both hurt on some. What might repair
    the hurry starts with a head of zeros, so that the head is mended as well; the row of plain fine-tuning shows by how
    much.
    """
    hurry = TrainingConfig(steps=75, learning_rate=6.0e-4, validate_at=(19, 38))
    return (
        Block(pairs, _POOR, (1,), (0,), _DRAWS, source_steps=_POOR_SOURCE, title="a poor source and one patient"),
        Block(pairs, _SLOW, (3,), (0,), _DRAWS, title="the body at a tenth of the rate"),
        Block(
            pairs,
            _HURRIED,
            (1,),
            (0,),
            _DRAWS,
            (None,),
            _POOR_SOURCE,
            hurry,
            "a hurry (few steps, a low rate, a random head, a poor source, one patient)",
        ),
    )


_NEW, _NEW_SITES, _NEW_INFANT = "fets2021_question", "fets2021_question_sites", "iseg2019_question"
_SIMULATED_PAIRS = (
    Pair(_NEW, "T1:WT", "FLAIR:WT"),
    Pair(_NEW, "T2:WT", "T1ce:TC"),
    Pair(_NEW, "FLAIR:WT", "T1ce:TC"),
    Pair(_NEW, "T1:WT", "T1ce:TC"),
    Pair(_NEW, "T1ce:ET", "T2:WT"),
    Pair(_NEW_SITES, "T1ce:TC", "T1ce:TC"),
    Pair(_NEW_INFANT, "T1:TISSUE", "T2:TISSUE"),
    Pair(_NEW_INFANT, "T2:TISSUE", "T1:TISSUE"),
)
SIMULATED = Plan(
    name="simulated",
    main=Block(_SIMULATED_PAIRS, _ASKED, (3,), seeds=(0, 1), draws=_DRAWS),
    further=Block(_SIMULATED_PAIRS[:2], _MORE, (3,), seeds=(0,), draws=_DRAWS),
    few_shots=(Block(_SIMULATED_PAIRS[:2], _FEW, (1,), seeds=(0,), draws=_DRAWS),),
    hard_cases=_hard_cases(_SIMULATED_PAIRS[:2]),
    left_out=(Block(_SIMULATED_PAIRS[:2], _LEFT_OUT, (3,), seeds=(0,), draws=_DRAWS, left_out=(0, 1, 2)),),
    rate_search=Block(
        (
            Pair("fets2021_dev", "FLAIR:WT", "T1ce:TC"),
            Pair("fets2021_dev", "T1:WT", "FLAIR:WT"),
            Pair("iseg2019_dev", "T1:TISSUE", "T2:TISSUE"),
        ),
        _OWN_RATES,
        shots=(3,),
        seeds=(0, 1),
    ),
    rates=_RATES,
    transfer_training=_TRANSFER,
    harm_arms=_HARMED,
)
_LGG_PAIRS = (
    Pair("lgg", "FLAIR:WT", "T1:WT"),
    Pair("lgg", "T1:WT", "FLAIR:WT"),
    Pair("lgg", "FLAIR:WT", "T1ce:WT"),
    Pair("lgg", "T1ce:WT", "T1:WT"),
)
_SITE_PAIRS = (Pair("lgg_sites", "FLAIR:WT", "T1:WT"), Pair("lgg_sites", "T1:WT", "FLAIR:WT"))
_REAL_PAIRS = (*_LGG_PAIRS, *_SITE_PAIRS)
# each of the six patients is left out once
_OTHER_HOSPITAL = tuple(
    Pair(f"lgg_brats2013_{fold}", "FLAIR:WT", target) for target in ("T1ce:TC", "T1ce:ET") for fold in range(6)
)
_HIPPOCAMPI = (Pair("msd_hippocampus", "T1:ANT", "T1:POST"),)
REAL = Plan(
    name="real",
    main=Block(_REAL_PAIRS, _ASKED, (3,), seeds=(0,), draws=_DRAWS),
    churn=Block(_REAL_PAIRS, ("scratch",), (3,), seeds=(1,), draws=_DRAWS),
    further=Block(_LGG_PAIRS[:1], _MORE_REAL, (3,), seeds=(0,), draws=_DRAWS),
    few_shots=(Block(_REAL_PAIRS, _FEW_REAL, (10,), seeds=(0,), draws=_DRAWS),),
    hard_cases=_hard_cases(_LGG_PAIRS[:2]),
    left_out=(Block(_LGG_PAIRS[:1], _LEFT_OUT, (3,), seeds=(0,), draws=_DRAWS, left_out=(0, 1, 2)),),
    elsewhere=(
        Block(_OTHER_HOSPITAL, _FEW_REAL, (4,), seeds=(0,), draws=(0,)),
        Block(_HIPPOCAMPI, _FEW_REAL, (3,), seeds=(0,), draws=_DRAWS),
    ),
    rate_search=Block(
        (Pair("lgg_dev", "FLAIR:WT", "T1:WT"), Pair("lgg_dev", "T1:WT", "FLAIR:WT")),
        tuple(arm for arm in ARMS_WITH_OWN_RATE if arm in {*_ASKED, *_POOR, *_HURRIED, *_MORE_REAL, *_SLOW}),
        shots=(3,),
        seeds=(0,),
    ),
    rates=_RATES,
    transfer_training=_TRANSFER,
    # the LGG set of Kaggle has lost it
    knows_voxel_size=False,
    harm_arms=_HARMED,
)
_SHORT = TrainingConfig(steps=4, patches=PatchConfig(size=16, per_step=4), validate_at=(1, 2))
_TINY_PAIRS = (Pair("fets2021_tiny", "FLAIR:WT", "T1ce:TC"), Pair("iseg2019_tiny", "T1:TISSUE", "T2:TISSUE"))
SMOKE = Plan(
    name="smoke",
    main=Block(_TINY_PAIRS, _ASKED, shots=(1,), seeds=(0, 1), draws=(0,)),
    further=Block(_TINY_PAIRS[:1], _MORE, shots=(1,), seeds=(0,), draws=(0,)),
    few_shots=(Block(_TINY_PAIRS[:1], _FEW, shots=(2,), seeds=(0, 1), draws=(0,)),),
    hard_cases=(
        Block(_TINY_PAIRS[:1], _POOR, (1,), (0, 1), (0,), source_steps=2, title="a poor source"),
        Block(_TINY_PAIRS[:1], _SLOW, (1,), (0,), (0,), title="the body at a tenth of the rate"),
        Block(_TINY_PAIRS[:1], _HURRIED, (1,), (0,), (0,), training=replace(_SHORT, steps=2), title="few steps"),
    ),
    left_out=(Block(_TINY_PAIRS[:1], _LEFT_OUT, shots=(2,), seeds=(0,), draws=(0,), left_out=(0, 1)),),
    elsewhere=(Block(_TINY_PAIRS[1:], _FEW, shots=(2,), seeds=(0,), draws=(0,)),),
    rate_search=Block(_TINY_PAIRS[:1], _OWN_RATES, shots=(1,), seeds=(0,)),
    rates=_RATES,
    harm_arms=_HARMED,
    source_training=_SHORT,
    transfer_training=_SHORT,
    network=NetworkConfig(channels=(4, 8)),
)
PLANS = {"simulated": SIMULATED, "real": REAL, "smoke": SMOKE}
