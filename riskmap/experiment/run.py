"""Run an experiment's plan: ``python -m riskmap experiment``. Stop it when you like; the next call goes on.

Learning rates are chosen on validation patients of development cohorts; then every published run is made and scored
on test patients once; then harm is counted from the stored predictions. What is finished is read, not repeated.
"""

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from riskmap.data.cohort import Cohort
from riskmap.data.simulated import DEFAULT_COHORTS, PREPARE_REAL, ensure_cohort, has_cohort
from riskmap.experiment.count_harm import count_harm, harm_cases
from riskmap.experiment.packing import packed
from riskmap.experiment.plan import Pair, Plan
from riskmap.experiment.plans import PLANS
from riskmap.experiment.records import seal
from riskmap.experiment.score_tables import scores
from riskmap.project.commands import exit_status, positive, run_command
from riskmap.project.environment import require_checkout
from riskmap.project.files import read_json, write_json
from riskmap.project.machine import processor_name
from riskmap.project.paths import PROJECT_ROOT, RESULTS, is_shared, resolve
from riskmap.project.writing import require_writable
from riskmap.training.arms import in_order
from riskmap.training.runs import Run, Wanted, ensure_all, folder_of, missing_runs, prerequisites


class Experiment:
    """A plan with its folders: of the data, of the runs, and of the small records that are published.

    Args:
        plan: what to run.
        data_dir: archives and prepared cohorts; what is missing is simulated.
        out_dir: the runs.
        results_dir: the published records, in a folder with the plan's name.
        jobs: runs side by side, each on one thread.
    """

    def __init__(self, plan: Plan, data_dir: Path, out_dir: Path, results_dir: Path = RESULTS, jobs: int = 2) -> None:
        self.plan = plan
        self.data_dir = data_dir
        self.out_dir = out_dir
        self.results_dir = results_dir / plan.name
        self.jobs = jobs
        self.cohort = cache(lambda name: Cohort.open(ensure_cohort(name, data_dir)))

    def development(self) -> list[Wanted]:
        """Return the runs that choose the learning rates."""
        return [(spec, self.cohort(pair.cohort)) for pair, spec in self.plan.rate_search_specs()]

    def choose_rates(self) -> dict[str, float]:
        """Make the development runs, write what they say, and return the learning rate of each arm."""
        runs = ensure_all(self.development(), self.out_dir, self.jobs)
        table = rates_of(run.record for run in runs)
        write_json(self.results_dir / "rates.json", table)
        return {arm: row["chosen"] for arm, row in table.items()}

    def published(self, rates: Mapping[str, float]) -> list[tuple[Pair, Wanted]]:
        """Return the runs that are published, each with its pair."""
        return [(pair, (spec, self.cohort(pair.cohort))) for pair, spec in self.plan.published_specs(rates)]

    def make_runs(self, rates: Mapping[str, float]) -> list[tuple[Pair, Run]]:
        """Make the published runs and write their compact records."""
        pairs, wanted = zip(*self.published(rates), strict=True)
        found = list(zip(pairs, ensure_all(wanted, self.out_dir, self.jobs), strict=True))
        # a run from scratch serves every pair of its target
        distinct = {run.folder: run.record for _, run in found}
        write_json(self.results_dir / "runs.json", compact(distinct.values()), compact=True)
        return found

    def count_harm(self, found: Iterable[tuple[Pair, Run]], rates: Mapping[str, float]) -> None:
        """Count harm, repair and churn from the stored predictions of the main table's runs."""
        compared = harm_cases(found, self.plan, rates)
        counted = count_harm(compared, self.cohort, self.out_dir, self.jobs)
        if not self.plan.knows_voxel_size:
            del counted["bands"]
        write_json(self.results_dir / "harm.json", counted, compact=True)

    def count_cost(self, rates: Mapping[str, float]) -> None:
        """Add up what all runs of the plan took, the networks they needed first included."""
        runs = [run for wanted in self.steps(rates).values() for run in ensure_all(wanted, self.out_dir, self.jobs)]
        seal(self.results_dir, cost(runs, self.jobs))

    def run(self) -> None:
        """Do all that is missing, step by step, and write the published records."""
        for name in self.plan.cohorts:
            # one that is not there is told before the first run
            self.cohort(name)
        rates = self.choose_rates()
        self.count_harm(self.make_runs(rates), rates)
        self.count_cost(rates)

    def steps(self, rates: Mapping[str, float]) -> dict[str, list[Wanted]]:
        """Return the runs of each step by the step's title."""
        development, published = self.development(), [wanted for _, wanted in self.published(rates)]
        return {
            "networks needed first": prerequisites([*development, *published]),
            "runs that choose learning rates": development,
            "published runs": published,
        }

    def describe(self) -> str:
        """Return how many runs each step has and how many are missing; rates not chosen yet count as the highest.

        Runs are named by their data, so that while a cohort is missing only that can be said: none is made here.
        """
        absent = [name for name in self.plan.cohorts if not has_cohort(name, self.data_dir)]
        if absent:
            made = [name for name in absent if name in DEFAULT_COHORTS]
            asked = [name for name in absent if name not in DEFAULT_COHORTS]
            parts = [f"cohorts that are made first: {', '.join(made)}"] if made else []
            parts += (
                [f"cohorts that you prepare first: {', '.join(asked)} (real patients: {PREPARE_REAL})"] if asked else []
            )
            return "; ".join([*parts, "which runs are missing shows only then"])
        path = self.results_dir / "rates.json"
        chosen = {arm: row["chosen"] for arm, row in read_json(path).items()} if path.exists() else {}
        rates = {arm: chosen.get(arm, self.plan.rates[-1]) for arm in self.plan.rate_search.arms}
        lines = []
        for title, wanted in self.steps(rates).items():
            places = {folder_of(spec, cohort, self.out_dir) for spec, cohort in wanted}
            lines.append(f"{title}: {len(places)}, missing {len(missing_runs(wanted, self.out_dir))}")
        return "\n".join(lines)


def rates_of(records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, for each arm, the validation Dice of each learning rate per pair, and the rate with the best mean.

    The mean is over pairs, each the mean over its seeds, patients and foreground classes; of equal rates the lowest
    wins.
    """
    frame = scores(records)
    means = frame.groupby(["arm", "rate", "cohort", "target"])["dice"].mean()
    table = {}
    for arm in in_order(frame["arm"]):
        of_arm = means[arm].groupby("rate").mean()
        table[arm] = {
            "chosen": float(of_arm.idxmax()),
            "mean": {f"{rate:g}": round(value, 5) for rate, value in of_arm.items()},
            "pairs": {
                f"{cohort} {target}": {f"{rate:g}": round(value, 5) for (rate, _, _), value in values.items()}
                for (cohort, target), values in means[arm].groupby(["cohort", "target"])
            },
        }
    return table


def compact(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return run records without curves, in few bytes, and the environment that all of them share.

    Raises:
        ValueError: the runs do not share versions, platform and processor, so that one line cannot speak for all.
    """
    records = list(records)
    # a commit between two runs is no other environment
    environments = [{**record["environment"], "git_revision": None} for record in records]
    if any(environment != environments[0] for environment in environments):
        raise ValueError("the runs were made in different environments; make them again in one")
    return {"environment": environments[0]} | packed(map(_compact_run, records))


def _compact_run(record: Mapping[str, Any]) -> dict[str, Any]:
    parameters, results = record["parameters"], record["results"]
    rounded = {
        patient: {"dice": [round(value, 5) for value in score["dice"]], "empty": score["empty"]}
        for patient, score in results["patients"].items()
    }
    return {
        "parameters": {name: value for name, value in parameters.items() if name not in ("network", "versions")},
        "results": {"patients": rounded, "validation_dice": _curve(results["history"])},
        "cost": record["cost"],
        "finished": record["finished"],
    }


def _curve(history: Mapping[str, Any]) -> dict[str, float]:
    """Return the validation Dice by step, as JSON has it: what a selection may look at."""
    steps, dice = history["validation_step"], history["validation_dice"]
    return {str(step): round(value, 5) for step, value in zip(steps, dice, strict=True)}


def cost(runs: Iterable[Run], jobs: int) -> dict[str, Any]:
    """Return the number of distinct runs, the seconds they took, and the hours that is with ``jobs`` side by side."""
    records = {run.folder: run.record for run in runs}.values()
    seconds = sum(record["cost"]["seconds"] for record in records)
    return {
        "runs": len(records),
        "seconds": round(seconds),
        "jobs": jobs,
        "hours": round(seconds / jobs / 3600, 2),
        "mean_seconds": round(seconds / len(records), 1),
        "peak_memory_mb": max(record["cost"]["peak_memory_mb"] or 0 for record in records),
        "processor": processor_name(),
        "cores": os.cpu_count(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a plan, or say what is missing of it, and print what it cost."""
    parser = argparse.ArgumentParser(prog="python -m riskmap experiment", description=main.__doc__)
    parser.add_argument("--plan", choices=tuple(PLANS), default="simulated")
    parser.add_argument("--data", metavar="FOLDER", default="build/data", help="archives and prepared cohorts")
    parser.add_argument("--out", metavar="FOLDER", default="build/runs", help="the runs")
    # those of a shared checkout are read
    of_reader = str(resolve("build/results") if is_shared() else RESULTS)
    parser.add_argument("--results", metavar="FOLDER", default=of_reader, help="the records that are published")
    parser.add_argument("--jobs", type=positive, default=2, help="runs side by side, each on one thread")
    parser.add_argument("--dry-run", action="store_true", help="only say how many runs are missing")
    options = parser.parse_args(arguments)
    data, out, results = (resolve(folder) for folder in (options.data, options.out, options.results))
    experiment = Experiment(PLANS[options.plan], data, out, results, options.jobs)

    def work() -> int:
        require_checkout(PROJECT_ROOT)
        if options.dry_run:
            print(experiment.describe())
            return 0
        missing = not all(has_cohort(name, data) for name in experiment.plan.cohorts)
        require_writable({"--out": out, "--results": experiment.results_dir} | ({"--data": data} if missing else {}))
        experiment.run()
        spent = read_json(experiment.results_dir / "cost.json")
        print("{runs} runs took {seconds} s, which is {hours} h with {jobs} side by side".format(**spent))
        return 0

    return exit_status(work, "the same command goes on where it stopped")


if __name__ == "__main__":
    run_command(main)
