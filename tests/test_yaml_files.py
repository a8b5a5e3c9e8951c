"""YAML files that a reader writes: what is wrong is said in one line, with the file and the place."""

import pytest

from riskmap.project.yaml_files import read_mapping


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"steps: 3\n1: 3\n", r"p\.yaml: a name must be text, got 1$"),
        (b"true: 3\n", r"p\.yaml: a name must be text, got True$"),
        (b"steps: 3\ntitle: caf\xe9\n", r"p\.yaml is not valid YAML: line 2 is no text in UTF-8$"),
        (b"\xff\xfes\x00", r"p\.yaml is not valid YAML: line 1 is no text in UTF-8$"),
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
