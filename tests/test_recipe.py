"""How the recipe was chosen: rows that say what was trained, and tables drawn from them."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from riskmap.experiment import recipe
from riskmap.experiment.recipe_table import recipe_section, recipe_tables
from riskmap.project.files import read_json
from riskmap.training.config import PatchConfig, TrainingConfig
from riskmap.training.specs import Setting

SHORT = TrainingConfig(steps=2, patches=PatchConfig(size=16, per_step=2), device="cpu", precision="float32")
PAIR = ("FLAIR:WT", "T1ce:TC")


@pytest.fixture
def short(monkeypatch, tiny_cohort):
    """Let the groups hold two variants of two steps, and the source network have two."""
    chosen = {"chosen": recipe.Variant(SHORT), "zero head": recipe.Variant(SHORT, "fine_tune")}
    # the tiny pool has two patients
    monkeypatch.setattr(recipe, "_SHOTS", 2)
    monkeypatch.setattr(recipe, "variants", lambda group: chosen)
    monkeypatch.setattr(recipe, "ensure_cohort", lambda name: tiny_cohort.folder)
    monkeypatch.setattr(recipe, "Setting", lambda: Setting(source_steps=2, device="cpu", precision="float32"))


def test_a_row_has_the_mean_and_the_deviation_over_first_weights(short, tmp_path, monkeypatch):
    rows = recipe.measure("heads", "tiny", [PAIR], 2, tmp_path, jobs=1)
    assert [(row["variant"], row["pair"], row["runs"]) for row in rows] == [
        ("chosen", "FLAIR:WT → T1ce:TC", 2),
        ("zero head", "FLAIR:WT → T1ce:TC", 2),
    ]
    runs = [read_json(path) for path in (tmp_path / "recipe").glob("*.json")]
    assert len(runs) == 4
    assert {row["dice"] for row in rows} <= {
        round(float(np.mean([a["dice"], b["dice"]])), 4) for a in runs for b in runs if a["seed"] != b["seed"]
    }
    monkeypatch.setattr(recipe, "train", lambda *_, **__: pytest.fail("trained again"))
    assert recipe.measure("heads", "tiny", [PAIR], 2, tmp_path, jobs=1) == rows


def test_some_variants_alone(short, tmp_path):
    rows = recipe.measure("scratch", "tiny", [PAIR], 2, tmp_path, jobs=1, only=["chosen"])
    assert [row["variant"] for row in rows] == ["chosen"]
    with pytest.raises(ValueError, match=r"scratch has no variant 'chosn'.*chosen"):
        recipe.measure("scratch", "tiny", [PAIR], 2, tmp_path, jobs=1, only=["chosn"])


def test_the_patients_stay_and_the_first_weights_change(short, tmp_path, monkeypatch):
    drawn, built = [], []
    choose, build = recipe.choose_patients, recipe.build_network
    monkeypatch.setattr(recipe, "choose_patients", lambda *given: drawn.append(given[1:]) or choose(*given))
    monkeypatch.setattr(recipe, "build_network", lambda *a, **given: built.append(given["seed"]) or build(*a, **given))
    recipe.measure("scratch", "tiny", [PAIR], 3, tmp_path, jobs=1)
    assert set(drawn) == {(2, 0)}
    assert sorted(set(built)) == [0, 1, 2]


@pytest.mark.parametrize("group", ["scratch", "heads", "machines"])
def test_every_group_holds_what_was_chosen(group):
    found = recipe.variants(group)
    assert any(variant.training.patches == TrainingConfig().patches for variant in found.values())
    assert {variant.arm for variant in found.values()} <= {"scratch", "fine_tune", "random_head", "linear_probe"}


def row(group, cohort, variant, dice, pair="FLAIR:WT → T1ce:TC"):
    target = pair.split()[-1]
    numbers = {"dice": dice, "sd": 0.01, "runs": 4, "processor_seconds": 5.0}
    return {"group": group, "cohort": cohort, "pair": pair, "target": target, "variant": variant, **numbers}


def test_new_rows_take_the_place_of_the_old_ones_and_leave_the_others(tmp_path):
    path = tmp_path / "recipe.json"
    recipe.keep([row("scratch", "dev", "chosen", 0.5), row("scratch", "dev", "gone", 0.4)], path)
    recipe.keep([row("scratch", "real", "chosen", 0.6)], path)
    recipe.keep([row("scratch", "dev", "chosen", 0.7)], path)
    assert [(each["cohort"], each["dice"]) for each in read_json(path)["rows"]] == [("real", 0.6), ("dev", 0.7)]


def test_the_table_has_a_row_per_variant_and_a_column_per_task():
    other = "T1:WT → FLAIR:WT"
    rows = [row("scratch", "dev", name, dice, pair) for name, dice in (("a", 0.5), ("b", 0.25)) for pair in (other,)]
    rows += [row("scratch", "dev", "a", 0.75), row("heads", "dev", "a", 0.1)]
    first, second = recipe_tables(rows).items()
    assert first[0] == "From scratch, dev, 4 first weights"
    assert list(first[1].columns) == ["variant", "FLAIR:WT", "T1ce:TC", "processor s"]
    assert first[1].iloc[0].tolist() == ["a", "0.500 ± 0.010", "0.750 ± 0.010", "5.0"]
    assert list(second[1].columns) == ["variant", "FLAIR:WT → T1ce:TC", "processor s"]
    assert "| b | 0.250 ± 0.010 |" in recipe_section(rows)


def test_what_is_published_as_chosen_is_what_the_package_does():
    rows = read_json(recipe.RECORDS)["rows"]
    chosen = [row["training"] for row in rows if row["variant"] in ("chosen", "zero head")]
    assert len(chosen) == 3 * 2 * 2, "three pairs, from scratch and transferred, simulated and real"
    now = json.loads(json.dumps(asdict(TrainingConfig())))
    assert all(training == now for training in chosen)
