"""The front end that runs one notebook."""

import nbformat
import pytest
from test_execution import write_notebook, write_profile

from riskmap.project.files import read_json
from riskmap.rerun import run
from riskmap.rerun.execution import record_of


def test_notebook_is_found_by_number_name_and_path(tmp_path):
    notebook = write_notebook(tmp_path / "03_some.ipynb")
    for text in ("03", "03_some", "03_some.ipynb", str(notebook)):
        assert run.find_notebook(text, tmp_path) == notebook
    with pytest.raises(ValueError, match=r"no notebook '03_sume'; did you mean '03_some'\?"):
        run.find_notebook("03_sume", tmp_path)


def test_other_values_have_another_name(tmp_path):
    notebook, profile = tmp_path / "03_some.ipynb", tmp_path / "smoke.yaml"
    names = {run.output_name(notebook, profile, given, given) for given in ({}, {"x": "A:B/../C"}, {"x": "A-B/../C"})}
    assert len(names) == 3
    assert all("/" not in name and ":" not in name and name.startswith("03_some_smoke") for name in names)
    assert len(run.output_name(notebook, None, {"x": list(range(99))}, {})) < 120


def test_run_writes_notebook_and_record_and_is_not_repeated(tmp_path, monkeypatch, capsys):
    notebook = write_notebook(tmp_path / "03_some.ipynb", "print('rate', rate, 'steps', steps)")
    profile = write_profile(tmp_path / "few.yaml", "steps: 2\n")
    monkeypatch.setattr(run, "OUTPUTS", tmp_path / "out")
    # as a killed call leaves one
    (tmp_path / "out" / ".run-left").mkdir(parents=True)
    command = [str(notebook), "-f", str(profile), "-p", "rate", "1e-4"]
    assert run.main(command) == 0
    assert not list((tmp_path / "out").glob(".*"))
    (output,) = (tmp_path / "out").glob("*.ipynb")
    assert nbformat.read(output, as_version=4).cells[-1].outputs[0].text == "rate 0.0001 steps 2\n"
    assert read_json(record_of(output))["parameters"] == {"steps": 2, "rate": 1e-4}
    assert str(output) in capsys.readouterr().out
    assert run.main(command) == 0
    assert "already done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["-p", "stps", "3"], "did you mean 'steps'", 2),
        (["-f", "huge"], "no profile 'huge'", 2),
        (["-f", "{folder}/broken.yaml"], "broken.yaml is not valid YAML", 2),
        (["-f", "{folder}/numbers.yaml"], "numbers.yaml: a name must be text, got 1", 2),
        (["-f", "{folder}"], "is a folder, not a profile", 2),
        ([], "ZeroDivisionError", 1),
    ],
)
def test_failure_ends_with_its_message_and_status(arguments, message, status, tmp_path, capsys):
    """2: refused before anything ran; 1: it ran and failed."""
    (tmp_path / "broken.yaml").write_text("steps: [1, 2\nrate: 3", encoding="utf-8")
    (tmp_path / "numbers.yaml").write_text("1: 3", encoding="utf-8")
    arguments = [each.format(folder=tmp_path) for each in arguments]
    notebook = write_notebook(tmp_path / "03_some.ipynb", "1 / 0")
    assert run.main([str(notebook), "-o", str(tmp_path / "out.ipynb"), *arguments]) == status
    assert message in capsys.readouterr().err
