"""YAML files that a reader writes: what is wrong is said in one line, with the file and the place."""

import pytest
from pydantic import BaseModel, ConfigDict

from riskmap.project.yaml_files import read_mapping, read_yaml


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"steps: 3\n1: 3\n",
            r"a name must be text, got 1: YAML reads 1 as the number 1 in line 2; write it in quotes: .1.$",
        ),
        (
            b"true: 3\n",
            r"text, got True: YAML reads true as true in line 1; write it in quotes: .true.$",
        ),
        (
            b"steps: 3\ntitle: caf\xe9\n",
            r"not valid YAML: line 2 is no text in UTF-8; save the file in UTF-8$",
        ),
        (b"\xff\xfes\x00", r"p\.yaml is not valid YAML: line 1 is no text in UTF-8; save the file in UTF-8$"),
        (b"steps: 3\nrate: 1\nx: \x00\n", r"p\.yaml is not valid YAML: line 3 holds a character that is no text$"),
        (b"steps: 3\nrate: [1\n", r"p\.yaml is not valid YAML: .*line 3"),
        (b"day: 2001-02-31\n", r"p\.yaml is not valid YAML: 2001-02-31 is no date .*line 1"),
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
    ("content", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"a stands twice, first in line 1; keep one of both in \"p\.yaml\", line 3"),
        ("a: {NO: 1,\n  SE: 2,\n  no: 3}\n", r"no stands twice, first in line 1.*line 3"),
        ("a:\n  - x: 1\n    'x': 2\n", r"x stands twice, first in line 2.*line 3"),
        ("a: {1: x, 1.0: y}", r"1\.0 stands twice"),
        ("a: 010", r'YAML reads 010 as 8; write it in quotes, "010", or write 10 .*line 1'),
        ("a: [001,\n 007]", r'YAML reads 001 as 1; write it in quotes, "001", or write 1 .*line 1'),
        ("a: 1:30", r'YAML reads 1:30 as 90; write it in quotes, "1:30", or write the number itself .*line 1'),
        ("a: 1:30.5", r"YAML reads 1:30\.5 as 90\.5"),
        ("a:\n\tb: 1", r"line 2.*indent with spaces, not with tabs"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("[a]: 1", "line 1"),
        ("2024-01-01: 1", r'YAML reads 2024-01-01 as a date in line 1; write it in quotes: "2024-01-01"'),
        ("x: 1\n~: 1", r'YAML reads ~ as nothing in line 2; write it in quotes: "~"'),
    ],
)
def test_what_yaml_reads_silently_as_something_else_is_refused(content, message, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        read_mapping(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_what_means_what_it_says_is_read(tmp_path):
    text = """
a: {<<: &first {x: 1, y: 2}, x: 3}
b: *never
"""
    path = tmp_path / "p.yaml"
    path.write_text(text.replace("*never", "[0, -0, 0x10, 1.5e+3, 0.1, .inf, 08, '010', 2024-01-01]"), encoding="utf-8")
    read = read_mapping(path)
    assert read["a"] == {"x": 3, "y": 2}
    assert read["b"][:8] == [0, 0, 16, 1500.0, 0.1, float("inf"), "08", "010"]
    path.write_text("a: &one [x]\nb: *one\n", encoding="utf-8")
    assert read_mapping(path) == {"a": ["x"], "b": ["x"]}


class Described(BaseModel):
    model_config = ConfigDict(strict=True)

    title: str = ""
    rate: float = 0.0
    steps: int = 0
    sites: dict[str, list[str]] = {}
    table: dict[int, str] = {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title: 1.10", r'title: .*YAML reads 1\.10 as the number 1\.1 in line 1; write it in quotes: "1\.10"'),
        ("rate: 1.0\ntitle: 2024-01-01", r'title: .*YAML reads 2024-01-01 as a date in line 2.*: "2024-01-01"'),
        ("title: null", r'title: .*YAML reads null as nothing in line 1; write it in quotes: "null"'),
        ("title:", r"title: .*YAML reads what is left out as nothing in line 1"),
        ("title: {subject}", r"title: .*line 1 begins a list or names; write text in quotes"),
        ("sites:\n  NO: [a]", r'sites: .*YAML reads NO as false in line 2; write it in quotes: "NO"'),
        ("sites:\n  SE: [b]\n  On: [a]", r'sites: .*YAML reads On as true in line 3; write it in quotes: "On"'),
        ("sites:\n  SE: [b]\n  47: [a]", r'sites: .*YAML reads 47 as the number 47 in line 3.*: "47"'),
        ("sites:\n  2024-01-01: [b]", r"sites: .*YAML reads 2024-01-01 as a date in line 2"),
        ("sites:\n  SE: [b]\n  ~: [a]", r'sites: .*YAML reads ~ as nothing in line 3; write it in quotes: "~"'),
        ("sites:\n  SE: [b,\n  yes]", r'sites\.SE\.1: .*YAML reads yes as true in line 3; write it in quotes: "yes"'),
        ("rate: 1e3", r"rate: .*line 1; YAML reads 1e3 as text, write 1000\.0 without quotes"),
        ('steps: "12"', r"steps: .*line 1; YAML reads 12 as text, write 12 without quotes"),
        ("steps: many", r"steps: .*\(line 1\)"),
        ("steps: on", r"steps: .*line 1; YAML reads on as true"),
        ("title: t\ntable: {yes: a}", r"table.*line 2"),
        ("title: t\nsites: 3", r"sites: .*\(line 2\)"),
    ],
)
def test_a_value_of_another_kind_is_named_as_written_with_its_line(content, message, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        read_yaml(path, Described)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
