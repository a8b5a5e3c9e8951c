"""What a page found, in sentences: they follow the numbers, whatever these are."""

import numpy as np
import pandas as pd
import pytest
import torch

from riskmap import LeepStatistics
from riskmap.pages import conclusions
from riskmap.pages.comparison import Comparison
from riskmap.training.config import NetworkConfig
from riskmap.training.specs import Setting

HIGH, LOW = (0.8, 0.7, 0.9, 0.6), (0.3, 0.2, 0.4, 0.1)


def scores(**arms):
    """Rows of one pair: a Dice per patient and arm."""
    columns = {"source": "A:X", "target": "B:Y", "shots": 3, "draw": 0, "seed": 0, "empty": 0, "simulated": True}
    rows = [
        {**columns, "arm": arm, "patient": f"p{place}", "dice": dice}
        for arm, values in arms.items()
        for place, dice in enumerate(values)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("scratch", "tuned", "words"),
    [
        (LOW, HIGH, "+50.0 [+50.0, +50.0] Dice points: **it helped**"),
        (HIGH, LOW, "-50.0 [-50.0, -50.0] Dice points: **it hurt**"),
        ((0.4, 0.6, 0.5, 0.5), (0.6, 0.4, 0.5, 0.5), "**open**"),
    ],
)
def test_transfer_helps_hurts_or_is_open(scratch, tuned, words):
    assert words in repr(conclusions.of_arms(scores(scratch=scratch, fine_tune=tuned), None))


@pytest.mark.parametrize(
    ("own", "twin", "words"),
    [(HIGH, LOW, "+50.0 [+50.0, +50.0]: **they helped**"), (HIGH, HIGH, "+0.0 [+0.0, +0.0]: **open**")],
)
def test_what_a_twin_gains_as_well_is_not_due_to_places(own, twin, words):
    frame = scores(scratch=LOW, fine_tune=LOW, risk_map_paper=own, risk_map_paper_shuffled=twin)
    assert f"its *places* account for {words}" in repr(conclusions.of_arms(frame, None))


def test_harm_stands_beside_its_churn():
    kinds = ["missed", "false alarms", "found", "cleared", "patients"]
    harm = pd.DataFrame([[0.1, 0.2, 0.3, 0.4, 2], [0.01, 0.02, 0.03, 0.04, 2]], columns=kinds)
    text = repr(conclusions.of_arms(scores(scratch=LOW, fine_tune=HIGH), harm))
    assert "missed 10.0% (churn 1.0%), false alarms 20.0% (churn 2.0%), found 30.0%" in text


def test_shots_are_told_apart_and_the_rise_is_named():
    few, many = scores(scratch=LOW, fine_tune=LOW), scores(scratch=LOW, fine_tune=HIGH).assign(shots=5)
    third = scores(class_balanced=np.subtract(HIGH, 0.1)).assign(shots=5)
    text = repr(conclusions.of_shots(pd.concat([few, many, third])))
    assert "- k = 3: Fine-tuning differs from scratch by +0.0" in text
    assert "- k = 5: Fine-tuning differs from scratch by +50.0" in text
    # the distance to scratch is no matter of tuning
    assert "From k = 3 to k = 5 plain fine-tuning rises by 50.0 Dice points; at one k the arms with a source" in text
    assert "lie at most 10.0 apart" in text


def test_an_arm_that_is_lacking_is_named():
    for found in (lambda frame: conclusions.of_arms(frame, None), conclusions.of_shots):
        with pytest.raises(ValueError, match="no run of the arm 'fine_tune'"):
            found(scores(scratch=LOW))


def test_a_source_is_told_by_its_early_share_and_its_worst_patients():
    history = {"validation_step": [25, 100, 400], "validation_dice": [0.1, 0.6, 0.8]}
    dice, distance = pd.Series({"a": 0.9, "b": 0.7}), pd.Series({"a": 3.0, "b": np.nan})
    text = repr(conclusions.of_source(history, dice, distance))
    assert "After 100 of 400 steps the Dice on validation patients was 0.600, 75% of the final 0.800" in text
    assert "mean over 2 validation patients is 0.800; the lowest, 0.700, is that of b" in text
    assert "The largest HD95 is 3.0 mm, of a" in text
    assert "No patient has an HD95" in repr(conclusions.of_source(history, dice, distance * np.nan))


def test_a_map_tells_where_its_weight_lies():
    labels = torch.zeros(1, 1, 1, 10, dtype=torch.long)
    labels[..., 0] = 1
    probabilities = torch.full((1, 2, 1, 10), 0.5, dtype=torch.float64)
    statistics = LeepStatistics(2, 2).update(probabilities, labels)
    hardness = statistics.hardness(probabilities, labels)
    text = repr(conclusions.of_map(-0.3251, statistics, probabilities, labels, hardness))
    assert "A pixel of the target's foreground is 2.30 nats hard in the mean, one of the background 0.1054" in text
    # ten times the weight on one pixel in ten: 10 / 19
    assert (
        "The reconstruction gives weights from 1 to 10. The target, 10.0% of the pixels, gets 53% of the weight" in text
    )
    weight = hardness / hardness.mean()
    assert (
        f"h / mean(h), the mean over all these slices, gives weights from {weight.min():.2g} to {weight.max():.3g}"
        in (text)
    )


def test_a_cohort_tells_how_rare_its_labels_are(tiny_cohort):
    text = repr(conclusions.of_cohort(tiny_cohort))
    patient = tiny_cohort.part("target_train")[0]
    foreground = tiny_cohort.labels(patient, "WT") > 0
    assert f"Of patient {patient}:" in text
    assert f"**WT** is in {foreground.any((0, 1)).sum()} of {foreground.shape[2]} slices" in text


def test_objects_of_pages_tell_what_they_found(tiny_cohort, tmp_path):
    setting = Setting(NetworkConfig(channels=(4, 8)), steps=2, source_steps=2, device="cpu", precision="float32")
    options = {"setting": setting, "out_dir": tmp_path}
    several = Comparison(tiny_cohort, "FLAIR:WT", "T1ce:TC", ["scratch", "fine_tune"], shots=[1, 2], **options)
    assert repr(several.found()).startswith("- k = 1: ")
    one = Comparison(tiny_cohort, "FLAIR:WT", "T1ce:TC", ["scratch", "fine_tune"], shots=1, **options)
    assert "Around the target fine-tuning changed" in repr(one.found())
    assert "After 2 of 2 steps" in repr(one.source.found())
    assert "LEEP is" in repr(one.map().found())
    alone = Comparison(tiny_cohort, "FLAIR:WT", "T1ce:TC", ["scratch", "fine_tune"], shots=1, seeds=0, **options)
    assert "Around the target" not in repr(alone.found()), "one seed shows no churn"
    with pytest.raises(ValueError, match="no arm 'fine_tune'"):
        Comparison(tiny_cohort, "FLAIR:WT", "T1ce:TC", ["scratch"], shots=1, **options).found()
