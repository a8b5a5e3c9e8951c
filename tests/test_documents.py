"""What README and guides tell a reader to type is there: modules, targets, files, parameters and options."""

import importlib.util
import io
import re
from contextlib import redirect_stdout, suppress
from functools import lru_cache
from importlib import import_module
from itertools import pairwise

import pytest
from documents import commands_of, documents

from riskmap.__main__ import COMMANDS
from riskmap.__main__ import main as front_door
from riskmap.project.paths import NOTEBOOKS, PROJECT_ROOT
from riskmap.rerun.notebooks import pages_in, parameters_model

COMMANDS_THERE = [
    pytest.param(words, id=f"{document.stem}: {' '.join(words)[:60]}")
    for document in documents()
    for words in commands_of(document)
]


@lru_cache
def help_of(module: str) -> str:
    """Return the help of a command."""
    told = io.StringIO()
    with redirect_stdout(told), suppress(SystemExit):
        import_module(module).main(["--help"])
    return told.getvalue()


def test_there_are_commands_to_check():
    assert len(COMMANDS_THERE) > 40


@pytest.mark.parametrize("words", COMMANDS_THERE)
def test_a_command_of_a_document_can_be_typed(words):
    if words[0] == "papermill":
        assert all((PROJECT_ROOT / word).exists() for word in words if word.startswith("notebooks/"))
        return
    module, further = words[2], words[3:]
    if module == "riskmap" and further:
        if further[0] in COMMANDS and COMMANDS[further[0]][-1][0].startswith("riskmap."):
            module, further = COMMANDS[further[0]][-1][0], further[1:]
        else:
            assert further[0] in (*COMMANDS, "check-env", "clean", "unbundle"), further[0]
            return
    assert importlib.util.find_spec(module) is not None, module
    given = [name for flag, name in pairwise(further) if flag == "-p"]
    if given:
        known = {name for page in pages_in(NOTEBOOKS).values() for name in parameters_model(page).model_fields}
        # a wrong name is shown as an example of what is refused
        assert set(given) - known <= {"shot"}
    for option in (word for word in further if word.startswith("--") and word not in ("--help", "--here")):
        assert option in help_of(module), f"{module} has no {option}"
    assert all((PROJECT_ROOT / word).exists() for word in further if word.startswith(("sweeps/", "notebooks/")))


def test_a_command_that_is_not_there_would_be_found(tmp_path):
    document = tmp_path / "a.md"
    document.write_text("```text\npython -m riskmap runn 03   (a remark)\n```\n")
    (words,) = commands_of(document)
    assert words == ["python", "-m", "riskmap", "runn", "03"]
    with pytest.raises(AssertionError):
        test_a_command_of_a_document_can_be_typed(words)


def test_the_front_door_s_help_names_every_target():
    told = io.StringIO()
    with redirect_stdout(told), suppress(SystemExit):
        front_door(["--help"])
    assert all(re.search(rf"^  {target} ", told.getvalue(), re.MULTILINE) for target in COMMANDS)
