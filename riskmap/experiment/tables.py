"""The tables of pages 5 and 9 and of the README, each from the published records of an experiment."""

import pandas as pd

from riskmap.experiment import families
from riskmap.experiment.count_harm import CHURN
from riskmap.experiment.findings import Findings, at_pair
from riskmap.experiment.plan import Case, Pair
from riskmap.experiment.selection import SELECTIONS
from riskmap.experiment.shown import NOTHING, FoldedTable, ShownTable, estimate_text
from riskmap.measure.harm import KINDS
from riskmap.measure.statistics import Estimate, mean_over_pairs, patient_mean
from riskmap.training.arm import TWIN_SUFFIX
from riskmap.training.arms import ARMS, title_of

_SHORT = {
    "risk_map_paper": "reconstruction",
    "risk_map_hardness": "h / mean(h)",
    "risk_map_centred": "centred h",
    "risk_map_focused": "1 + 20 r",
    "risk_map_focused_sampled": "sampler 1 + 20 r",
    "beside_source": "fresh, beside the source",
    "discriminative_rate": "slow body",
    "class_balanced_slow_body": "slow body, class-balanced",
    "risk_map_paper_slow_body": "slow body, reconstruction",
}


def short_title(arm: str) -> str:
    """Return an arm's title without what all of them share, for the head of a column."""
    return _SHORT.get(arm, title_of(arm).removeprefix("Fine-tuning, "))


def shown(table: pd.DataFrame, empty: str = "") -> ShownTable:
    """Return a table as a page shows it; ``empty`` is the sentence that stands for a table without a row."""
    return ShownTable(table, empty)


def folded(title: str, table: pd.DataFrame, empty: str = "Nothing of this was run.") -> FoldedTable:
    """Return a table that a page shows folded, below its title."""
    return FoldedTable(table, empty, title)


def points(estimate: Estimate) -> str:
    """Return a difference as "+1.2 [-0.3, +2.7]"."""
    return estimate_text(estimate, digits=1, signed=True)


def percent(estimate: Estimate) -> str:
    """Return a share, or a difference of two, as "+1.2 [-0.3, +2.7]" in per cent."""
    return estimate_text(estimate, 100, 1, signed=True)


def pair_table(found: Findings) -> pd.DataFrame:
    """Return one row per pair: both Dice, the gap with its p, and what each map gains over fine-tuning."""
    gaps = families.transfer(found)
    rows = []
    for pair in found.plan.pairs:
        dice = found.dice(pair, ("scratch", "fine_tune")).mean()
        row = {
            "pair": pair.title,
            "scratch, fine-tuning": f"{dice['scratch']:.3f}, {dice['fine_tune']:.3f}",
            "gap [95 %]": points(gaps[pair.title].estimate),
            "p (Holm)": gaps[pair.title].p_text,
        }
        for arm in found.plan.maps:
            row[short_title(arm)] = points(patient_mean(found.difference(pair, arm, "fine_tune")))
        rows.append(row)
    return pd.DataFrame(rows)


def arm_table(found: Findings) -> pd.DataFrame:
    """Return one row per remedy of the main block: over fine-tuning, over its shuffled twin and over scratch."""
    gains, over_twin = families.remedies(found), families.places(found)
    pairs = found.plan.pairs
    rows = []
    for arm, gain in gains.items():
        means = [found.difference(pair, arm, "fine_tune").mean() for pair in pairs]
        twin = over_twin.get(arm)
        row = {
            "arm": short_title(arm),
            "over fine-tuning": points(gain.estimate),
            "p (gain)": gain.p_text,
            "over its shuffled twin": points(twin.estimate) if twin else NOTHING,
            "p (twin)": twin.p_text if twin else NOTHING,
            "over scratch": points(found.over_pairs(pairs, arm, "scratch")),
            "pairs below fine-tuning": f"{sum(mean < 0 for mean in means)} of {len(pairs)}",
        }
        rows.append(row)
    return pd.DataFrame(rows)


def case_table(found: Findings) -> pd.DataFrame:
    """Return one row per hard case and arm, scratch and the plain transferred network first.

    Each with its Dice on each pair, and how far it lies above scratch, above plain transfer, and above its twin.
    """
    tested = families.hard_cases(found)
    rows = []
    for block in found.plan.hard_cases:
        for arm in ("scratch", block.plain, *block.remedies):
            of_arm = (found.dice(pair, (arm,), block.case)[arm].mean() for pair in block.pairs)
            title = block.title.partition(" (")[0] if arm == "scratch" else ""
            row = {"case": title, "arm": short_title(arm), "Dice, pair by pair": ", ".join(f"{d:.2f}" for d in of_arm)}
            over, gain, twin = NOTHING, None, None
            if arm != "scratch":
                over = points(found.over_pairs(block.pairs, arm, "scratch", block.case))
                gain, twin = (tested.get((block.title, arm, other)) for other in (block.plain, arm + TWIN_SUFFIX))
            if arm == block.plain:
                row["arm"] = f"plain: {row['arm']}"
                over += f", p {tested[block.title, 'scratch', arm].p_text}"
            row["over scratch"] = over
            row["over plain transfer"] = f"{points(gain.estimate)}, p {gain.p_text}" if gain else NOTHING
            row["over its shuffled twin"] = f"{points(twin.estimate)}, p {twin.p_text}" if twin else NOTHING
            rows.append(row)
    return pd.DataFrame(rows)


def selection_table(found: Findings) -> pd.DataFrame:
    """Return one row per way to choose: what it costs, over scratch, over fine-tuning, and its worst pair."""
    tested = families.selections(found)
    rows = []
    for name in families.possible_selections(found):
        selection = SELECTIONS[name]
        pairs, case = families.asked_of(found, name)
        over = {other: tested[name, other] for other in ("scratch", "fine_tune")}
        rows.append(
            {
                "chosen": selection.title,
                "pairs": len(pairs),
                "costs": f"{selection.runs:g} runs" + ("" if selection.leaves_out else ", validation"),
                "over scratch": f"{points(over['scratch'].estimate)}, p {over['scratch'].p_text}",
                "over fine-tuning": f"{points(over['fine_tune'].estimate)}, p {over['fine_tune'].p_text}",
                "worst pair, over scratch": points(found.worst(pairs, name, "scratch", case)),
            }
        )
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
    return pd.DataFrame(rows)


def elsewhere_table(found: Findings) -> pd.DataFrame:
    """Return one row per task that is described and not tested; folds with one patient each are pooled."""
    rows = []
    for block in found.plan.elsewhere:
        for title in dict.fromkeys(pair.title for pair in block.pairs):
            pairs = [pair for pair in block.pairs if pair.title == title]
            patients = sum(len(found.difference(pair, "scratch", "fine_tune", block.case)) for pair in pairs)
            row = {"pair": title, "scored": f"{patients}", "k": block.shots[0]}
            row["gap [95 %]"] = points(found.pooled(pairs, "scratch", "fine_tune", block.case))
            for arm in block.arms[2:]:
                row[short_title(arm)] = points(found.pooled(pairs, arm, "fine_tune", block.case))
            rows.append(row)
    return pd.DataFrame(rows)


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


def rate_choices(found: Findings) -> pd.DataFrame:
    """Return one row per arm: the validation Dice of each learning rate, and the chosen one."""
    rows = [
        {"arm": title_of(arm), **{f"rate {rate}": f"{dice:.3f}" for rate, dice in row["mean"].items()}}
        | {"chosen": f"{row['chosen']:g}"}
        for arm, row in found.rates.items()
    ]
    return pd.DataFrame(rows)


def harm_table(found: Findings) -> pd.DataFrame:
    """Return what transfer harmed and repaired beyond the churn, in per cent of the region, missed and alarmed apart.

    A row per pair for fine-tuning, then a row per arm over all pairs. The churn is that of a second run from scratch on
    the same patients. A patient without a region, foreground in neither the truth nor a prediction, takes no part.
    """
    rows = []
    for pair in found.plan.pairs:
        table = kinds_beyond_churn(found, pair, "fine_tune")
        shares = {kind: percent(patient_mean(table[kind])) if len(table) else NOTHING for kind in KINDS}
        rows.append({"of": pair.title} | shares)
    for arm in found.plan.harm_arms:
        shares = {kind: percent(estimate) for kind, estimate in harm_over_pairs(found, arm).items()}
        rows.append({"of": f"all pairs: {title_of(arm)}"} | shares)
    return pd.DataFrame(rows)


def harm_over_pairs(found: Findings, arm: str) -> dict[str, Estimate]:
    """Return the mean over pairs of each kind of harm and repair beyond the churn, as shares of the region."""
    tables = {pair: kinds_beyond_churn(found, pair, arm) for pair in found.plan.pairs}
    cohorts = {pair.cohort: [each for of, each in tables.items() if of.cohort == pair.cohort] for pair in tables}
    estimates = {}
    for kind in KINDS:
        of_kind = [pd.concat([each[kind] for each in group], axis=1).dropna() for group in cohorts.values()]
        estimates[kind] = mean_over_pairs([group for group in of_kind if len(group)])
    return estimates


def kinds_beyond_churn(found: Findings, pair: Pair, arm: str) -> pd.DataFrame:
    """Return each patient's shares of the region beyond the churn, [patient, kind], see ``riskmap.measure.harm``."""
    changes = at_pair(found.harm["changes"], pair)
    return changes.loc[changes["arm"] == arm].set_index("patient")[list(KINDS)].dropna()


def band_table(found: Findings, pair: Pair) -> pd.DataFrame:
    """Return one row per band of distance to the label boundary: shares harmed and repaired, and the churn.

    A patient without a pixel in a band takes no part in that band's mean. Without a voxel size there is no row.
    """
    if not found.plan.knows_voxel_size:
        return pd.DataFrame()
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


def _plain(row: pd.Series, column: str) -> str:
    if pd.isna(row[column]):
        return NOTHING
    return estimate_text(Estimate(row[column], row[f"{column}_low"], row[f"{column}_high"]), digits=2)
