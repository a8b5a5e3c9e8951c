"""Packed archives that cannot be read: the file is named, with what to do, and nothing is left half-written."""

import bz2
import errno
import gzip
import io
import lzma
import shutil
import struct
import tarfile
import zipfile

import pytest

from data_scripts import prepare_fets2021
from data_scripts.archives import unpack
from data_scripts.archives.unpack import UnpackError, unpack_archive

CONTENT = bytes(range(256)) * 40


def zipped(method=zipfile.ZIP_STORED, names=("a.txt", "b.txt")):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name in names:
            file.writestr(name, CONTENT)
    return bytearray(stream.getvalue())


def tarred(names=("a.txt", "b.txt"), **options):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", **options) as file:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(CONTENT)
            file.addfile(member, io.BytesIO(CONTENT))
    return bytearray(stream.getvalue())


def changed(content, place, new):
    content[place : place + len(new)] = new
    return content


def marked(place, new):
    """A zip with a field set in the header of the first member and in the list at the end, two bytes later there."""
    content = zipped()
    changed(content, content.index(b"PK\x01\x02") + place + 2, new)
    return changed(content, place, new)


def with_size(size):
    content = zipped()
    return changed(content, content.index(b"PK\x01\x02") + 24, struct.pack("<I", size))


def tar_with_size(text):
    """A tar whose first member claims another size; its header's checksum fits."""
    content = changed(tarred(), 124, text)
    changed(content, 148, b" " * 8)
    return changed(content, 148, b"%06o\0 " % sum(content[:512]))


BY_HAND = "unpack it by hand and give the folder"
AGAIN = "fetch it again"
FAULTS = {
    "imploded": ("set.zip", marked(8, b"\x06\0"), BY_HAND),
    "Deflate64": ("set.zip", marked(8, b"\x09\0"), BY_HAND),
    "zstd": ("set.zip", marked(8, b"\x5d\0"), BY_HAND),
    "PPMd": ("set.zip", marked(8, b"\x62\0"), BY_HAND),
    "AES": ("set.zip", marked(6, b"\x01\0\x63\0"), BY_HAND),
    "strong password": ("set.zip", marked(6, b"\x41\0"), BY_HAND),
    "newer zip": ("set.zip", changed(zipped(), zipped().index(b"PK\x01\x02") + 6, b"\xff\0"), BY_HAND),
    "lzma that is none": ("set.zip", marked(8, b"\x0e\0"), AGAIN),
    "name that is no text": (
        "set.zip",
        bytes(marked(6, b"\0\x08")).replace(b"a.txt", b"\xe9.txt"),
        BY_HAND,
    ),
    "names that differ": ("set.zip", changed(zipped(), 30, b"c"), AGAIN),
    "cut list of members": ("set.zip", zipped()[:-30], AGAIN),
    "cut front": ("set.zip", zipped()[200:], AGAIN),
    "checksum of a member": ("set.zip", changed(zipped(), 100, b"spoilt"), AGAIN),
    "absurd size": ("set.zip", with_size(2**32 - 2), AGAIN),
    "empty": ("set.zip", b"", "it is empty; fetch it again"),
    "empty tar": ("set.tar", b"", "it is empty; fetch it again"),
    "web page": ("set.zip", b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "it is a web page"),
    "web page as tar": ("set.tar.gz", b"<html>sign in</html>", "it is a web page"),
    "pointer": ("set.zip", b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
    "7z as zip": ("set.zip", b"7z\xbc\xaf\x27\x1c\0\4", "begins like a 7-Zip archive"),
    "rar as tar": ("set.tar", b"Rar!\x1a\x07\0", "begins like a RAR archive"),
    "gz that is no tar": ("set.tar.gz", gzip.compress(CONTENT), AGAIN),
    "zip as tar": ("set.tar", zipped(), "begins like a zip archive"),
    "tar cut between two members": ("set.tar", tarred()[: 512 + 10240], "missing or spoilt"),
    "tar cut in a header": ("set.tar", tarred()[: 512 + 10240 + 100], "missing or spoilt"),
    "tar cut in a member": ("set.tar", tarred()[: 512 + 3000], AGAIN),
    "tar spoilt between two members": ("set.tar", changed(tarred(), 512 + 10240 + 10, b"spoilt"), "missing or spoilt"),
    "tar of absurd size": ("set.tar", tar_with_size(b"77777777777\0"), AGAIN),
    "tar of impossible size": ("set.tar", tar_with_size(b"\x80" + b"\x7f" * 11), AGAIN),
    "tar of negative size": ("set.tar", tar_with_size(b"\xff" + b"\x80" * 11), AGAIN),
    "gz cut": ("set.tgz", gzip.compress(tarred())[:-20], AGAIN),
    "gz checksum": ("set.tar.gz", changed(bytearray(gzip.compress(tarred())), -8, b"\0\0\0\0"), AGAIN),
    "bz2 cut": ("set.tar", bz2.compress(tarred())[:-20], AGAIN),
    "xz cut": ("set.tar", lzma.compress(tarred())[:-20], AGAIN),
    "NUL in a name": ("set.tar", tarred(("a\0b",), format=tarfile.PAX_FORMAT, pax_headers={"path": "a\0b"}), AGAIN),
    "same name twice": ("set.tar", tarred(("a.txt", "./a.txt")), "two members of the name"),
    "file and folder of one name": ("set.tar", tarred(("a", "a/b")), "two members of the name"),
    "folder and file of one name": ("set.tar", tarred(("a/b", "a")), "two members of the name"),
    "name that is too long": ("set.tar", tarred(("a" * 300,)), "cannot be unpacked"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_unpacked_is_named_with_what_to_do(tmp_path, fault, capsys):
    name, content, advice = FAULTS[fault]
    path, folder = tmp_path / name, tmp_path / "unpacked"
    path.write_bytes(content)
    command = ["--archive", str(path), "--unpack-to", str(folder), "--out", str(tmp_path / "out")]
    assert prepare_fets2021.main(command) == 2
    told = capsys.readouterr().err
    (line,) = [line for line in told.splitlines() if line.startswith("error: ")]
    assert str(path) in line
    assert advice in line
    assert not list(folder.iterdir())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        "set.7z",
        "set.rar",
        "set.tar.xz",
        "set.tar.bz2",
        "set.tar.zst",
        "set.gz",
        "set.z01",
        "set.zip.001",
        "x.part1.rar",
    ],
)
def test_a_file_of_another_kind_is_named_with_what_to_do(tmp_path, name):
    (tmp_path / name).write_bytes(CONTENT)
    with pytest.raises(ValueError, match=BY_HAND) as caught:
        unpack_archive(tmp_path / name, tmp_path / "unpacked")
    assert str(tmp_path / name) in str(caught.value)
    assert ("split archive" in str(caught.value)) == (name in ("set.z01", "set.zip.001", "x.part1.rar"))


def test_the_last_part_of_a_split_zip_is_known_by_its_neighbours(tmp_path):
    (tmp_path / "set.z01").write_bytes(zipped()[:5000])
    (tmp_path / "set.zip").write_bytes(zipped()[5000:])
    with pytest.raises(UnpackError, match=r"last part of a split archive \(set\.z01\); unpack it by hand"):
        unpack_archive(tmp_path / "set.zip", tmp_path / "unpacked")


def test_a_full_disk_is_named_before_and_while_it_is_written(tmp_path, monkeypatch):
    path, folder = tmp_path / "set.zip", tmp_path / "unpacked"
    path.write_bytes(zipped())
    with monkeypatch.context() as patched:
        patched.setattr(unpack.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0))
        with pytest.raises(UnpackError, match=r"set\.zip does not fit on the disk: unpacked it takes 2\.05e-05 GB"):
            unpack_archive(path, folder)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unpack.shutil, "copyfileobj", full)
    with pytest.raises(UnpackError, match=r"set\.zip does not fit on the disk; choose a folder with more room"):
        unpack_archive(path, folder)
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("name", "content", "unpacked"),
    [
        ("SET.ZIP", zipped(zipfile.ZIP_LZMA, ("a.txt",)), ["a.txt"]),
        ("set.TAR.GZ", gzip.compress(tarred(("a.txt",))), ["a.txt"]),
        ("of_windows.zip", bytes(zipped(names=("P01/a.txt",))).replace(b"P01/", b"P01\\"), ["P01", "P01/a.txt"]),
        ("of_macos.zip", bytes(zipped(names=("aa.txt",))).replace(b"aa", "é".encode()), ["é.txt"]),
        ("of_dos.zip", bytes(zipped(names=("a.txt",))).replace(b"a.", b"\x82."), ["é.txt"]),
        ("latin.tar", tarred(("é.txt",), encoding="latin-1", format=tarfile.GNU_FORMAT), ["é.txt"]),
    ],
)
def test_other_spellings_are_unpacked_all_the_same(tmp_path, name, content, unpacked):
    (tmp_path / name).write_bytes(content)
    folder = unpack_archive(tmp_path / name, tmp_path / "unpacked")
    assert folder.name == name.split(".")[0]
    found = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.name[0] != "."]
    assert found == unpacked
    assert (folder / unpacked[-1]).read_bytes() == CONTENT
