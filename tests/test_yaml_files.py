"""YAML files that a reader writes: what is wrong is said in one line, with the file and the place."""

import re

import pytest
from pydantic import BaseModel, ConfigDict

from riskmap.project.yaml_files import read_mapping, read_value, read_yaml


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"steps: 3\n1: 3\n", r"p\.yaml: a name must be text, got 1; write it in quotes$"),
        (b"true: 3\n", r"p\.yaml: a name must be text, got True; write it in quotes$"),
        (
            b"steps: 3\ntitle: caf\xe9\n",
            r"p\.yaml is not valid YAML: line 2 is no text in UTF-8; save the file in UTF-8$",
        ),
        (b"\xff\xfes\x00", r"p\.yaml is not valid YAML: line 1 is no text in UTF-8; save the file in UTF-8$"),
        (b"steps: 3\nrate: 1\nx: \x00\n", r"p\.yaml is not valid YAML: line 3 holds a character that is no text$"),
        (b"steps: 3\nrate: [1\n", r"p\.yaml is not valid YAML: .*line 3"),
        (b"day: 2001-02-31\n", r"p\.yaml is not valid YAML: day is out of range for month"),
        (b"- 3\n", r"p\.yaml must hold names and values, got list$"),
        (b"", r"p\.yaml must hold names and values, got NoneType$"),
    ],
)
def test_what_is_no_mapping_is_named_with_its_place(content, message, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_mapping(path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path} is a folder, not a YAML file"):
        read_mapping(tmp_path)
    with pytest.raises(ValueError, match="there is no file"):
        read_mapping(tmp_path / "p.yaml")


def test_the_mark_of_windows_is_no_part_of_a_name(tmp_path):
    (tmp_path / "p.yaml").write_text("steps: 3", encoding="utf-8-sig")
    assert read_mapping(tmp_path / "p.yaml") == {"steps": 3}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("010", r'YAML reads 010 as 8; write 10 or 8 or "010" in quotes for text$'),
        ("007", r"YAML reads 007 as 7; write 7 or "),
        ("1:30", r'YAML reads 1:30 as 90; write 90 or "1:30" in quotes for text$'),
        ("1:30.5", r"YAML reads 1:30\.5 as 90\.5"),
        ("0x10", r"YAML reads 0x10 as 16"),
        ("0b11", r"YAML reads 0b11 as 3"),
        ("1_000", r"YAML reads 1_000 as 1000; write 1000 or "),
        ("1_0.5", r"YAML reads 1_0\.5 as 10\.5"),
        ("NO", r'YAML reads NO as false; write false or "NO" in quotes for text$'),
        ("on", r"YAML reads on as true"),
        ("2024-01-01", r'YAML reads 2024-01-01 as a date; write "2024-01-01" in quotes for text$'),
        ("[3, 010]", r"YAML reads 010 as 8"),
        ("{NO: 3}", r"YAML reads NO as false"),
        ("{a: 1, a: 2}", r"a stands there twice"),
    ],
)
def test_a_value_that_is_not_what_it_looks_like_is_refused_with_its_line(written, message, tmp_path):
    (tmp_path / "p.yaml").write_text(f"rate: 3\nsteps: {written}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"p\.yaml, line 2: {message}"):
        read_mapping(tmp_path / "p.yaml")


def test_a_name_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "p.yaml").write_text("steps: 3\nrate: 1\nsteps: 4\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"p\.yaml, line 3: steps stands there twice"):
        read_mapping(tmp_path / "p.yaml")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("10", 10),
        ("-3", -3),
        ("0", 0),
        ("1.0e-3", 1e-3),
        (".5", 0.5),
        (".inf", float("inf")),
        ("True", True),
        ('"010"', "010"),
        ("'NO'", "NO"),
        ("FLAIR:WT", "FLAIR:WT"),
        ("~", None),
    ],
)
def test_what_is_plain_or_in_quotes_is_read(written, value):
    read = read_value(written)
    assert read == value
    assert type(read) is type(value)


class Texts(BaseModel):
    model_config = ConfigDict(strict=True)

    names: list[str] = []
    table: dict[str, str] = {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("names: [1, b]", "names.0: Input should be a valid string, got 1; write it in quotes"),
        ("names: [1.10]", "names.0: Input should be a valid string, got 1.1; write it in quotes"),
        ("names: [~]", "names.0: Input should be a valid string, got None; write it in quotes"),
        ("table: {a: true}", "table.a: Input should be a valid string, got True; write it in quotes"),
        ("table: {7: a}", "table.7: Input should be a valid string, got 7; write it in quotes"),
        ("7: a", "a name must be text, got 7; write it in quotes"),
        ("table:\n\ta: b", "indent with spaces, not with tabs"),
        ("names: " + 4000 * "[" + 4000 * "]", "it is nested too deeply"),
    ],
)
def test_what_must_be_text_is_advised_to_stand_in_quotes(content, message, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_yaml(path, Texts)
    assert str(caught.value).startswith(str(path))
