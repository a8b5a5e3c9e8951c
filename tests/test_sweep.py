"""Sweeps: what is run, that a cluster of processes survives what happens to one, and what comes out."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
import yaml
from dask.utils import key_split
from distributed import Client, LocalCluster, get_worker
from test_execution import write_notebook

from riskmap.pages.sweep_figures import draw_effect
from riskmap.pages.sweep_links import linked_table
from riskmap.pages.sweep_results import SweepResults
from riskmap.pages.sweep_table import (
    by_other_parameters,
    effect_of,
    measures_of,
    ranking,
    read_jobs,
    read_table,
    sample_rows,
    varied,
    winners,
)
from riskmap.project.files import read_json
from riskmap.project.paths import PROJECT_ROOT
from riskmap.rerun import sweep
from riskmap.rerun.execution import record_of
from riskmap.rerun.sweep_jobs import Job, jobs_of, read_sweep
from riskmap.rerun.sweep_summary import write_summary

SWEEPS = sorted((PROJECT_ROOT / "sweeps").glob("*.yaml"))
PARAMETERS = 'rate = 1.0\nseed = 0\nfolder = ""'
# one run raises, one hangs; every start leaves a mark, so that a test can count them and see which kernel runs
BODY = """
import os, pathlib, time
import pandas as pd
from riskmap.pages.measurements import keep_measurements
mark = pathlib.Path(folder) / f"{rate}_{seed}_{os.getpid()}"
mark.touch()
if (rate, seed) == (1.0, 0):
    raise ValueError("this one raises")
time.sleep(600 if (rate, seed) == (1.0, 1) else 1)
keep_measurements(pd.DataFrame([{"seed": seed, "dice": rate / 10 + seed / 100}]))
"""


def write_sweep(path: Path, **content) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_example_is_valid(path, tmp_path):
    plan = read_sweep(path)
    jobs = jobs_of(plan, tmp_path, {"data_dir": str(tmp_path)})
    assert len(jobs) > 1
    assert len({job.output for job in jobs}) == len(jobs)


def test_grid_is_combined_and_zip_is_not(tmp_path):
    notebook = write_notebook(tmp_path / "01_a.ipynb", parameters="a = 1\nb = 1\nc = 1\njobs = 2")
    path = write_sweep(
        tmp_path / "s.yaml", notebooks=[str(notebook)], grid={"a": [1, 2]}, zip={"b": [3, 4], "c": [5, 6]}
    )
    jobs = jobs_of(read_sweep(path), tmp_path, {})
    points = [(job.values["a"], job.values["b"], job.values["c"]) for job in jobs]
    assert points == [(1, 3, 5), (2, 3, 5), (1, 4, 6), (2, 4, 6)]
    assert {job.values["jobs"] for job in jobs} == {1}, "the sweep itself runs side by side"
    assert {job.values["jobs"] for job in jobs_of(read_sweep(path), tmp_path, {"jobs": "3"})} == {3}


def test_chain_runs_what_is_shared_once(tmp_path):
    first = write_notebook(tmp_path / "01_a.ipynb", parameters="a = 1")
    second = write_notebook(tmp_path / "02_b.ipynb", parameters="a = 1\nb = 1")
    path = write_sweep(tmp_path / "s.yaml", notebooks=[str(first), str(second)], grid={"a": [1, 2], "b": [1, 2, 3]})
    jobs = jobs_of(read_sweep(path), tmp_path, {})
    assert [job.notebook.name for job in jobs].count("01_a.ipynb") == 2
    assert len(jobs) == 2 + 6
    names = [job.name for job in jobs]
    assert all(names.index(need) < names.index(job.name) for job in jobs for need in job.needs)


def test_a_value_of_a_sweep_that_yaml_would_misread_is_refused(tmp_path):
    path = tmp_path / "s.yaml"
    for grid, message in (("[010, 1]", "line 2: YAML reads 010 as 8"), ("[1:30]", "line 2: YAML reads 1:30 as 90")):
        path.write_text(f'notebooks: ["01"]\ngrid: {{source_steps: {grid}}}\n', encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            read_sweep(path)
    path.write_text("notebooks: [03]\n", encoding="utf-8")
    with pytest.raises(ValueError, match='write 3 or "03" in quotes for text'):
        read_sweep(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"notebook": ["01"]}, "unknown parameter 'notebook' .*did you mean 'notebooks'"),
        ({"notebooks": []}, "notebooks: "),
        ({"notebooks": ["99"]}, "no notebook '99'"),
        ({"notebooks": ["01"], "grid": {"source_step": [1]}}, "did you mean 'source_steps'"),
        ({"notebooks": ["01"], "grid": {"source_steps": [1, 0]}}, "source_steps must be at least 1, got 0"),
        ({"notebooks": ["01"], "grid": {"source_steps": []}}, "an empty list makes no job"),
        ({"notebooks": ["01"], "zip": {"source_steps": [1], "source_seed": [1, 2]}}, "must have one length"),
        ({"notebooks": ["01"], "grid": {"source_seed": [1]}, "zip": {"source_seed": [1]}}, "one of parameters, grid"),
        ({"notebooks": ["01"], "time_limit": 0}, "time_limit: "),
    ],
)
def test_wrong_sweep_is_refused_before_anything_runs(content, message, tmp_path):
    path = write_sweep(tmp_path / "s.yaml", **content)
    with pytest.raises(ValueError, match=message):
        jobs_of(read_sweep(path), tmp_path, {"data_dir": str(tmp_path)})


def test_this_machine_must_have_the_device_unless_others_do_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sweep, "prepare_cohorts", lambda values: 1 / 0)
    given = {"device": "cuda:0", "data_dir": str(tmp_path)}
    path = write_sweep(tmp_path / "s.yaml", notebooks=["01"], parameters=given)
    with pytest.raises(ValueError, match="torch sees no CUDA GPU here"):
        sweep.run_sweep(path, tmp_path / "out")
    with pytest.raises(ZeroDivisionError):
        sweep.run_sweep(path, tmp_path / "out", scheduler="tcp://elsewhere:1")


@pytest.mark.parametrize("workers", ["-1", "0", "two"])
def test_a_cluster_without_workers_is_refused(workers, capsys):
    """It would wait for ever."""
    with pytest.raises(SystemExit) as ended:
        sweep.main(["sweeps/smoke.yaml", "--workers", workers])
    assert ended.value.code == 2
    assert f"--workers: must be a whole number of at least 1, got '{workers}'" in capsys.readouterr().err


def test_effect_averages_within_seeds_first():
    rows = [("01", 1.0, 0, 0.2), ("01", 1.0, 0, 0.4), ("01", 1.0, 1, 0.5), ("01", 2.0, 0, 0.9)]
    table = pd.DataFrame(rows, columns=["notebook", "param_rate", "seed", "dice"])
    effect = effect_of(table, "rate", "dice")
    assert effect["value"].tolist() == ["1", "2"]
    assert effect["mean"].tolist() == pytest.approx([0.4, 0.9])
    assert effect["low"].tolist() == pytest.approx([0.3, 0.9])
    assert effect["high"].tolist() == pytest.approx([0.5, 0.9])
    assert effect["seeds"].tolist() == [2, 1]


def small_table(**more) -> pd.DataFrame:
    """Two rates, two sources, two arms and two seeds; the higher rate is better in every seed but one."""
    rows = [
        {"executed": f"notebooks/{source}_{rate}.ipynb", "notebook": "04", "param_rate": rate, "param_source": source,
         "arm": arm, "seed": seed, "dice": rate + seed / 100 - (0.5 if (source, rate, seed) == ("T2", 0.2, 1) else 0)}
        for source in ("T1", "T2") for rate in (0.1, 0.2) for arm in ("scratch", "fine_tune") for seed in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(**more)


def two_settings(**other) -> pd.DataFrame:
    """The small table with a second comparison in each notebook, 0.5 better and different in ``other``."""
    first = small_table(steps=4, shots=3, patient="a", run=range(16))
    second = first.assign(**{"dice": first["dice"] + 0.5, "run": range(16, 32), **other})
    return pd.concat([first, second], ignore_index=True)


def test_runs_of_other_steps_are_groups_of_their_own():
    """They were averaged, as if more steps were another patient."""
    table = two_settings(steps=8)
    alone = effect_of(small_table(), "rate", "dice").set_index(["group", "value"])["mean"]
    effect = effect_of(table, "rate", "dice").set_index(["group", "value"])["mean"]
    assert len(effect) == 2 * len(alone)
    for (arm, value), mean in alone.items():
        assert effect[f"{arm}, 4 steps", value] == pytest.approx(mean)
        assert effect[f"{arm}, 8 steps", value] == pytest.approx(mean + 0.5)
    assert set(winners(table, "rate", "dice")["group"]) == {
        f"{a}, {s} steps" for a in alone.index.levels[0] for s in (4, 8)
    }
    assert len(ranking(table, "dice")) == 2 * len(ranking(small_table(), "dice"))
    labels = [text.get_text() for text in draw_effect(table, "rate", "dice").legends[0].get_texts()]
    assert "scratch, 8 steps" in labels


def test_runs_that_no_column_tells_apart_are_not_averaged(tmp_path):
    """Two versions of an arm with one name, or another precision."""
    with pytest.raises(ValueError, match=r"several runs of fine_tune, scratch with the same pair, steps and seed"):
        effect_of(two_settings(), "rate", "dice")
    # patients of one run, and what one notebook measured with several numbers of patients, still are
    effect_of(two_settings(patient="b", run=range(16)), "rate", "dice")
    effect_of(two_settings(shots=1), "rate", "dice")
    page = write_summary("s", two_settings().assign(job="j"), ["rate"], {}, tmp_path).read_text(encoding="utf-8")
    assert "No figure of dice against rate: several runs of fine_tune, scratch" in page


def test_what_tells_runs_apart_is_no_measure():
    table = two_settings(steps=8)
    assert measures_of(table) == ["dice"]
    assert "steps" in sample_rows(table)
    assert "run" not in sample_rows(table)


def test_winners_count_the_seeds_that_agree():
    parts = by_other_parameters(small_table(), "rate")
    assert list(parts) == ["source T1", "source T2"]
    agreed, split = (winners(part, "rate", "dice") for part in parts.values())
    assert agreed["group"].tolist() == ["fine_tune", "fine_tune", "scratch", "scratch"]
    assert agreed["value"].tolist() == ["0.1", "0.2"] * 2
    assert agreed["wins"].tolist() == [0, 2] * 2
    assert split["wins"].tolist() == [1, 1] * 2
    assert set(agreed["seeds"]) == {2}


def test_of_distances_the_smaller_is_better():
    table = small_table()
    distances = table.assign(hausdorff95_mm=table["dice"])
    assert ranking(table, "dice")["dice"].is_monotonic_decreasing
    assert ranking(distances, "hausdorff95_mm")["hausdorff95_mm"].is_monotonic_increasing
    assert (
        winners(distances.loc[distances["param_source"] == "T1"], "rate", "hausdorff95_mm")["wins"].tolist()
        == [2, 0] * 2
    )


def test_sample_shows_what_differs_and_takes_short_tables():
    table = small_table(cohort="tiny", job="a")
    shown = sample_rows(table)
    assert list(shown.columns) == ["param_rate", "param_source", "arm", "seed", "dice"]
    assert len(shown) == 5
    assert sorted(sample_rows(table.head(2))["seed"]) == [0, 1]


def test_effect_has_a_panel_for_each_setting_of_the_others():
    figure = draw_effect(small_table(), "rate", "dice")
    assert [ax.get_title() for ax in figure.axes] == ["source T1", "source T2"]
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim(), "panels that are compared share a scale"
    assert (first.get_xlabel(), first.get_ylabel()) == ("rate", "dice")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Fine-tuning", "From scratch"]
    assert {line.get_linestyle() for line in first.lines[::3]} == {"-"}
    by_source = draw_effect(small_table(), "source", "dice").axes[0]
    assert {line.get_linestyle() for line in by_source.lines[::3]} == {"None"}, "nothing lies between two names"
    many = small_table(param_other=range(16))
    assert [ax.get_title() for ax in draw_effect(many, "rate", "dice").axes] == ["averaged over the other parameters"]


def test_one_seed_has_no_bars_and_a_missing_number_is_a_dash(tmp_path):
    table = small_table()
    one = draw_effect(table.loc[table["seed"] == 0], "rate", "dice")
    assert one.get_suptitle() == "One seed, so no bars"
    assert draw_effect(table, "rate", "dice").get_suptitle().startswith("Mean of 2 seeds")
    lacking = ranking(table, "dice").assign(dice=[float("nan"), *range(7)])
    assert "NaN" not in linked_table(lacking, tmp_path)
    # one source was never run with the higher rate
    kept = (table["param_source"] == "T1") | (table["param_rate"] == 0.1)
    table.loc[kept].to_csv(tmp_path / "table.csv", index=False)
    results = SweepResults(tmp_path, "rate", "dice")
    assert "–" in str(results.votes())
    assert "nan" not in f"{results.votes()}{results.rows()}{results.effect()}".lower()


def test_only_notebooks_that_are_there_are_linked(tmp_path):
    there = tmp_path / "sweep" / "notebooks" / "a.ipynb"
    there.parent.mkdir(parents=True)
    there.touch()
    rows = pd.DataFrame({"executed": ["notebooks/a.ipynb", "notebooks/b.ipynb"], "arm": ["<b>", "x"]})
    shown = linked_table(rows, tmp_path / "sweep", tmp_path / "pages")
    assert 'href="../sweep/notebooks/a.ipynb"' in shown
    assert shown.count("href") == 1
    assert "&lt;b&gt;" in shown


def test_published_sweep_is_what_its_file_says(tmp_path):
    """The jobs of the table that page 7 reads are those of the sweep's file, all of them finished."""
    published = PROJECT_ROOT / "results" / "sweep"
    planned = jobs_of(read_sweep(PROJECT_ROOT / "sweeps" / "learning_rates.yaml"), tmp_path, {})
    jobs = read_jobs(published)
    assert dict(zip(jobs["job"], jobs["parameters"], strict=True)) == {job.name: job.values for job in planned}
    assert jobs["failed"].isna().all()
    table = read_table(published)
    assert set(table["job"]) == set(jobs["job"])
    assert varied(table) == ["learning_rate", "source"]
    assert {"steps", "run"} <= set(table.columns), "a row names the run that it comes from"
    assert set(effect_of(table, "learning_rate", "dice")["seeds"]) == {3}


# ---- one machine as a cluster

KINDS = []


def stand_in(job: Job, time_limit: float, threads: int, *needed: str) -> str:
    """In place of a notebook: note what Dask takes this run for."""
    KINDS.append(key_split(get_worker().get_current_task()))
    return job.name


def test_runs_of_a_notebook_are_of_one_kind_to_dask(tmp_path, monkeypatch):
    """It learns how long a kind takes; of kinds that it meets once it left some on a busy worker, another idle."""
    chain = [write_notebook(tmp_path / name, parameters="seed = 0") for name in ("01_a.ipynb", "02_b.ipynb")]
    plan = read_sweep(write_sweep(tmp_path / "s.yaml", notebooks=[*map(str, chain)], grid={"seed": [0, 1, 2]}))
    monkeypatch.setattr(sweep, "run_job", stand_in)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        assert sweep.run_jobs(jobs_of(plan, tmp_path, {}), client, plan, 1) == {}
    assert sorted(KINDS) == ["01_a"] * 3 + ["02_b"] * 3


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def wait_for(condition, seconds: float, what: str):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds} s for {what}")


def end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)


# the first start of each run raises, which one retry mends
FLAKY = """
import os, pathlib, time
import pandas as pd
from riskmap.pages.measurements import keep_measurements
marks = pathlib.Path(folder)
first = not list(marks.glob(f"{seed}_*"))
(marks / f"{seed}_{os.getpid()}").touch()
if first and seed < 2:
    raise ValueError("the first time")
time.sleep(2)
keep_measurements(pd.DataFrame([{"seed": seed, "dice": seed / 10}]))
"""


@pytest.mark.notebooks
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupt_and_kill_lose_only_what_was_in_progress(tmp_path):
    """Ctrl-C as a terminal sends it, to the whole group; then kill -9 of the command alone; each call goes on."""
    marks, out = tmp_path / "marks", tmp_path / "out"
    marks.mkdir()
    notebook = write_notebook(tmp_path / "01_small.ipynb", FLAKY, parameters='seed = 0\nfolder = ""')
    sweep = write_sweep(
        tmp_path / "sweep.yaml", notebooks=[str(notebook)], parameters={"folder": str(marks)},
        grid={"seed": list(range(6))}, retries=1, time_limit=60,
    )  # fmt: skip
    command = [sys.executable, "-m", "riskmap.rerun.sweep", str(sweep), "--out", str(out), "--workers", "2", "--resume"]

    def finished() -> list[Path]:
        return [*out.glob("notebooks/*.ipynb.json")]

    def call_until(count: int, stop) -> tuple[int, str]:
        """Start the sweep in a group of its own, stop it when so many jobs are finished, and wait for its processes."""
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            # a shell starts what runs behind it with Ctrl-C ignored, and children keep that
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        try:
            wait_for(lambda: len(finished()) >= count, 250, f"{count} finished runs")
            family = psutil.Process(process.pid).children(recursive=True)
            stop(process)
            shown, _ = process.communicate(timeout=60)
            wait_for(lambda: not any(map(psutil.Process.is_running, family)), 60, "the end of all processes")
        finally:
            end(process)
        return process.returncode, shown

    status, shown = call_until(1, lambda process: os.killpg(process.pid, signal.SIGINT))
    assert status == 130, shown
    assert "--resume goes on" in shown
    tracebacks = shown.split("Traceback (most recent call last):")[1:]
    # a kernel that is interrupted while it still starts tells so by itself, in one part or, chained, in several
    ours = [each for each in tracebacks if "distributed" in each or "riskmap/rerun" in each]
    assert not [each for each in ours if "ipykernel" not in each], ours
    kept = {path: path.read_bytes() for path in finished()}
    status, _ = call_until(len(kept) + 1, lambda process: process.kill())
    assert status == -signal.SIGKILL
    missing = 6 - len(finished())
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"6 jobs, {missing} to do" in done.stdout
    assert all(path.read_bytes() == content for path, content in kept.items()), "finished runs are left alone"
    assert sorted(read_table(out)["seed"]) == list(range(6))
    assert len([*marks.glob("0_*")]) >= 2, "the retry made it"
    # 6 runs, 2 retries, and at most 2 in progress at each of the two ends
    assert len([*marks.iterdir()]) <= 6 + 2 + 4


@pytest.mark.slow
@pytest.mark.notebooks
def test_cluster_loses_a_worker_and_finishes_all_others(tmp_path):
    """24 runs on a scheduler and two workers; a worker is killed, one run raises, one hangs."""
    marks = tmp_path / "marks"
    marks.mkdir()
    notebook = write_notebook(tmp_path / "01_small.ipynb", BODY, parameters=PARAMETERS)
    rates, seeds = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0, 1, 2, 3]
    sweep = write_sweep(
        tmp_path / "sweep.yaml", notebooks=[str(notebook)], parameters={"folder": str(marks)},
        grid={"rate": rates, "seed": seeds}, time_limit=20,
    )  # fmt: skip
    out, address_file = tmp_path / "out", tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "riskmap.rerun.sweep", str(sweep), "--out", str(out)]
    at = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(address_file))
    processes = [start("scheduler", "--no-dashboard", *at)]
    try:
        wait_for(address_file.is_file, 60, "the scheduler")
        address = read_json(address_file)["address"]
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
        workers = [start("worker", address, *options, "--local-directory", str(tmp_path)) for _ in range(2)]
        processes += workers
        first = subprocess.Popen(
            [*command, "--scheduler", address], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        processes.append(first)
        records = out / "notebooks"
        wait_for(lambda: len([*records.glob("*.ipynb.json")]) >= 5, 150, "five finished runs")
        kernels = wait_for(lambda: psutil.Process(workers[0].pid).children(recursive=True), 30, "a kernel")
        os.kill(workers[0].pid, signal.SIGKILL)
        shown, _ = first.communicate(timeout=300)
        assert first.returncode == 1, shown
        wait_for(lambda: not any(kernel.is_running() for kernel in kernels), 30, "the end of the orphaned kernel")
        jobs = read_json(out / "sweep.json")["jobs"]
        failed = {(each["parameters"]["rate"], each["parameters"]["seed"]): each["failed"] for each in jobs}
        assert len(failed) == 24
        assert {place for place, message in failed.items() if message} == {(1.0, 0), (1.0, 1)}
        assert "this one raises" in failed[1.0, 0]
        assert "ran longer than the 20 s" in failed[1.0, 1]
        assert "this one raises" in shown
        assert "ran longer than" in shown
        table = read_table(out)
        assert len(table) == 22
        assert table["dice"].tolist() == pytest.approx((table["param_rate"] / 10 + table["seed"] / 100).tolist())
        pd.testing.assert_frame_equal(pd.read_csv(out / "table.csv"), table, check_dtype=False)
        page = (out / "summary.html").read_text(encoding="utf-8")
        assert "this one raises" in page
        assert page.count('href="notebooks/') == 22
        started = len([*marks.iterdir()])
        assert started <= 24 + 1, "a killed worker costs the run in progress, no other"
        # a second call runs only what is missing
        for each in jobs:
            assert record_of(out / each["executed"]).is_file() == (each["failed"] is None)
        again = subprocess.run(
            [*command, "--scheduler", address, "--resume"], capture_output=True, text=True, timeout=200
        )
        assert again.returncode == 1
        assert "24 jobs, 2 to do" in again.stdout
        assert len([*marks.iterdir()]) == started + 2
    finally:
        for process in reversed(processes):
            end(process)
