"""The tables of page 05 and of the README, each from the published records of an experiment."""

import pandas as pd

from riskmap.experiment.count_harm import CHURN
from riskmap.experiment.findings import REFERENCES, Findings, at_pair
from riskmap.experiment.plan import Case, Pair
from riskmap.experiment.shown import NOTHING, ShownTable, estimate_text, markdown_table, verdict_text
from riskmap.measure.statistics import Estimate, holm, patient_mean, wilcoxon
from riskmap.training.arms import ARMS, title_of

_SHORT = {
    "risk_map_paper": "reconstruction",
    "risk_map_hardness": "h / mean(h)",
    "risk_map_centred": "centred h",
    "risk_map_focused": "1 + 20 r",
    "risk_map_focused_sampled": "sampler 1 + 20 r",
}


def short_title(arm: str) -> str:
    """Return an arm's title without what all of them share, for the head of a column."""
    return _SHORT.get(arm, title_of(arm).removeprefix("Fine-tuning, "))


def shown(table: pd.DataFrame, empty: str = "") -> ShownTable:
    """Return a table as a page shows it; ``empty`` is the sentence that stands for a table without a row."""
    return ShownTable(table, empty)


def points(estimate: Estimate | None) -> str:
    """Return a difference as "+1.2 [-0.3, +2.7]", or a dash where there is none."""
    return NOTHING if estimate is None else estimate_text(estimate, digits=1, signed=True)


def pair_table(found: Findings) -> pd.DataFrame:
    """Return one row per pair: both Dice, the gap, and what each map gains over fine-tuning."""
    rows = []
    for pair in found.plan.pairs:
        dice = found.dice(pair, ("scratch", "fine_tune")).mean()
        row = {
            "pair": pair.title,
            "scratch, fine-tuning": f"{dice['scratch']:.3f}, {dice['fine_tune']:.3f}",
            "gap [95 %]": points(found.gaps[pair]),
        }
        for arm in found.plan.maps:
            row[short_title(arm)] = points(patient_mean(found.difference(pair, arm, "fine_tune")))
        rows.append(row)
    return pd.DataFrame(rows)


def arm_table(found: Findings) -> pd.DataFrame:
    """Return one row per arm of the main table: its mean gain over fine-tuning, and its gap to scratch.

    The p value is Wilcoxon's signed-rank test of the patients of all pairs, Holm-adjusted for the number of arms.
    """
    arms = [arm for arm in found.plan.main.arms if arm not in ("scratch", "fine_tune")]
    pairs = found.plan.pairs
    groups = {
        "all pairs": pairs,
        "pairs with negative transfer": found.hurt,
        "infant pairs": tuple(pair for pair in pairs if pair.is_infant),
    }
    adjusted = holm({arm: wilcoxon(_every_patient(found, arm)) for arm in arms})
    rows = []
    for arm in arms:
        means = {pair: found.difference(pair, arm, "fine_tune").mean() for pair in pairs}
        row = {"arm": short_title(arm)}
        row |= {name: points(found.over_pairs(some, arm, "fine_tune")) for name, some in groups.items()}
        row["p (Holm)"] = f"{adjusted[arm]:.3f}" if adjusted[arm] >= 0.001 else "< 0.001"
        row["over scratch, all pairs"] = points(found.over_pairs(pairs, arm, "scratch"))
        row["pairs below fine-tuning"] = f"{sum(mean < 0 for mean in means.values())} of {len(pairs)}"
        rows.append(row)
    return pd.DataFrame(rows)


def twin_table(found: Findings) -> pd.DataFrame:
    """Return one row per pair: each map minus its shuffled twin."""
    rows = []
    for pair in found.plan.pairs:
        row = {"pair": pair.title}
        row |= {
            short_title(arm): points(patient_mean(found.difference(pair, arm, f"{arm}_shuffled")))
            for arm in found.plan.maps
        }
        rows.append(row)
    means = {
        short_title(arm): points(found.over_pairs(found.plan.pairs, arm, f"{arm}_shuffled")) for arm in found.plan.maps
    }
    return pd.DataFrame([*rows, {"pair": "mean of all pairs", **means}])


def control_table(found: Findings) -> pd.DataFrame:
    """Return one row per further arm or control and pair: how far it lies above fine-tuning and below its map."""
    block = found.plan.further
    rows = []
    for arm in block.arms:
        of_map = ARMS[arm].control_of
        row = {"arm": title_of(arm)}
        for pair in block.pairs:
            row[f"{pair.title}: over fine-tuning"] = points(patient_mean(found.difference(pair, arm, "fine_tune")))
            row[f"{pair.title}: its map above it"] = (
                points(patient_mean(found.difference(pair, of_map, arm))) if of_map else NOTHING
            )
        rows.append(row)
    return pd.DataFrame(rows)


def shots_gains(found: Findings) -> pd.DataFrame:
    """Return one row per pair and number of target patients: the gap, and each arm's gain over fine-tuning."""
    rows = []
    for block in found.plan.few_shots:
        for pair in block.pairs:
            for shots in block.shots:
                case = Case(shots)
                gap = patient_mean(found.difference(pair, "scratch", "fine_tune", case))
                row = {"pair": pair.title, "k": shots, "gap [95 %]": points(gap)}
                for arm in block.arms[2:]:
                    row[short_title(arm)] = points(patient_mean(found.difference(pair, arm, "fine_tune", case)))
                rows.append(row)
    return pd.DataFrame(rows)


def rate_table(found: Findings) -> pd.DataFrame:
    """Return one row per pair and learning rate: the gap of fine-tuning, and the gains over it at that same rate."""
    rows = []
    for pair in found.plan.every_rate.pairs:
        for rate in found.plan.rates:
            gap = patient_mean(found.at_rate(pair, "scratch", "fine_tune", rate))
            row = {"pair": pair.title, "rate": f"{rate:g}", "gap [95 %]": points(gap)}
            for arm in found.plan.every_rate.arms[1:]:
                row[short_title(arm)] = points(patient_mean(found.at_rate(pair, arm, "fine_tune", rate)))
            rows.append(row)
    return pd.DataFrame(rows)


def rate_choices(found: Findings) -> pd.DataFrame:
    """Return one row per arm: the validation Dice of each learning rate, and the chosen one."""
    rows = [
        {"arm": title_of(arm), **{f"rate {rate}": f"{dice:.3f}" for rate, dice in row["mean"].items()}}
        | {"chosen": f"{row['chosen']:g}"}
        for arm, row in found.rates.items()
    ]
    return pd.DataFrame(rows)


def harm_table(found: Findings) -> pd.DataFrame:
    """Return one row per pair: shares of the region that fine-tuning harmed and repaired, the churn, and the excess.

    A patient without a region, foreground in neither the truth nor a prediction, takes no part in the mean.
    """
    changes = found.harm["changes"]
    rows = []
    for pair in found.plan.pairs:
        mean = at_pair(changes, pair).groupby(["arm", "patient"])[["harmed", "repaired", "excess"]].mean()
        row = {"pair": pair.title}
        for name, arm, column in (
            ("harmed", "fine_tune", "harmed"),
            ("repaired", "fine_tune", "repaired"),
            ("churn of scratch", CHURN, "harmed"),
            ("harm beyond churn", "fine_tune", "excess"),
            (f"beyond churn, {short_title(found.plan.harm_arms[-1])}", found.plan.harm_arms[-1], "excess"),
        ):
            shares = mean.loc[arm, column].dropna()
            if not len(shares):
                row[name] = NOTHING
                continue
            row[name] = estimate_text(patient_mean(shares), 100, 1, signed=column == "excess") + " %"
        rows.append(row)
    return pd.DataFrame(rows)


def band_table(found: Findings, pair: Pair) -> pd.DataFrame:
    """Return one row per band of distance to the label boundary: shares harmed and repaired, and the churn.

    A patient without a pixel in a band takes no part in that band's mean.
    """
    rows = at_pair(found.harm["bands"], pair)
    means = rows.groupby(["band", "arm"], sort=False)[["harmed", "repaired"]].mean()
    table = []
    for band in rows["band"].unique():
        row = {"distance to the boundary": band}
        for name, arm, column in (
            ("harmed", "fine_tune", "harmed"),
            ("repaired", "fine_tune", "repaired"),
            ("churn of scratch", CHURN, "harmed"),
        ):
            share = means.loc[(band, arm), column]
            row[name] = NOTHING if pd.isna(share) else f"{share:.1%}"
        table.append(row)
    return pd.DataFrame(table)


def pointing_table(found: Findings) -> pd.DataFrame:
    """Return one row per pair: the AUROC of each score for harm, and of the hardness for mere churn."""
    rows = []
    for pair in found.plan.pairs:
        means = found.pointing(pair).set_index("score")
        churn = found.pointing(pair, CHURN).set_index("score")
        row = {"pair": pair.title, "hardness": _plain(means.loc["hardness"], "auroc")}
        row |= {
            name: NOTHING if pd.isna(value) else f"{value:.2f}"
            for name, value in means["auroc"].items()
            if name != "hardness"
        }
        row["hardness, for churn"] = _plain(churn.loc["hardness"], "auroc")
        rows.append(row)
    return pd.DataFrame(rows).fillna(NOTHING)


def setbacks(found: Findings) -> pd.DataFrame:
    """Return every pair on which a map lies below fine-tuning or below scratch with the whole interval."""
    rows = []
    for pair in found.plan.pairs:
        for arm in found.plan.maps:
            for other in ("fine_tune", "scratch"):
                estimate = patient_mean(found.difference(pair, arm, other))
                if estimate.high < 0:
                    row = {"map": short_title(arm), "pair": pair.title, "below": title_of(other).lower()}
                    rows.append(row | {"points [95 %]": points(estimate)})
    return pd.DataFrame(rows, columns=["map", "pair", "below", "points [95 %]"])


def summary(found: Findings) -> str:
    """Return the README's section: what was run, the answers, and the three tables."""
    pairs, maps = found.plan.pairs, found.plan.maps
    last, first = short_title(maps[-1]), short_title(maps[0])
    questions = [
        _question(found, found.hurt, maps[-1], "fine_tune", f"Does {last} repair pairs with negative transfer?"),
        _question(found, found.hurt, maps[0], "fine_tune", f"Does {first}?"),
    ]
    for other in REFERENCES:
        text = f"Is {last} above {title_of(other).removeprefix('Fine-tuning, ')}, over all pairs?"
        questions.append(_question(found, pairs, maps[-1], other, text))
    questions.append(_question(found, pairs, maps[-1], "scratch", f"Is {last} above scratch, over all pairs?"))
    for arm in found.plan.maps:
        text = f"Does the place matter in {short_title(arm)}: above its own shuffled twin, over all pairs?"
        questions.append(_question(found, found.plan.pairs, arm, f"{arm}_shuffled", text))
    lost = setbacks(found)
    parts = [
        f"{found.sample()}. {found.cost['runs']} runs, {found.cost['hours']} hours with {found.cost['jobs']} side by "
        f"side on {found.cost['cores']} cores.",
        "\n".join(questions),
        "Gap and gains over fine-tuning, pair by pair (Dice points [95 %]):",
        markdown_table(pair_table(found)),
        "Gains over fine-tuning, averaged over pairs:",
        markdown_table(arm_table(found)),
        "Each map minus its own shuffled twin:",
        markdown_table(twin_table(found)),
        f"The same at each learning rate for all arms alike ({len(found.plan.every_rate.seeds)} seeds; added after the "
        "first seeds of the main table had been seen, to find out how much hangs on the rate):",
        markdown_table(rate_table(found)),
        "Where a map is worse, with the whole interval below 0:"
        if len(lost)
        else "No map is worse with the whole interval below 0.",
        markdown_table(lost) if len(lost) else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _every_patient(found: Findings, arm: str) -> pd.Series:
    """Return each patient's mean gain over fine-tuning, averaged over the pairs of its cohort."""
    return pd.concat([table.mean(axis=1) for table in found.by_cohort(found.plan.pairs, arm, "fine_tune")])


def _plain(row: pd.Series, column: str) -> str:
    if pd.isna(row[column]):
        return NOTHING
    return estimate_text(Estimate(row[column], row[f"{column}_low"], row[f"{column}_high"]), digits=2)


def _question(found: Findings, pairs: tuple[Pair, ...], better: str, worse: str, text: str) -> str:
    estimate = found.over_pairs(pairs, better, worse)
    if estimate is None:
        return f"- {text} There is no such pair."
    return f"- {text} {points(estimate)} Dice points over {len(pairs)} pairs: **{verdict_text(estimate)}**."
