"""Each layout with its traps, on tiny archives of that very form."""

import hashlib
import io
import shutil
import tarfile
import zipfile

import archives
import nibabel
import numpy as np
import pytest
from conftest import TINY_BOX, TINY_SPACING
from monai.apps import DecathlonDataset

from data_scripts import prepare_fets2021, prepare_iseg2019, prepare_msd
from data_scripts.archives.glioma_layouts import read_partitioning
from data_scripts.archives.layouts import LAYOUTS, detect_layout, title_of_iseg
from data_scripts.archives.prepare import prepare
from data_scripts.archives.unpack import UnpackError, unpack_archive
from data_scripts.archives.volumes import SubjectError, read_subject
from data_scripts.prepare_msd import GLIOMA as TASK
from riskmap.data.cohort import Cohort, CohortError
from riskmap.project.files import read_json

ARGUMENTS = {"spacing": TINY_SPACING, "box": TINY_BOX, "jobs": 1}
OPTIONS = ["--spacing", "4", "--box", "192", "224", "192", "--jobs", "1"]
GLIOMA = ("fets2021", "fets2022", "brats2020", "brats2021", "brats2023", "msd")
SCRIPTS = {"msd": prepare_msd.main}


@pytest.mark.parametrize("name", GLIOMA)
def test_every_glioma_layout_gives_the_same_voxels_under_the_same_names(
    name, tiny_archive, tiny_cohort, tmp_path, capsys
):
    archive = getattr(archives, name)(tiny_archive, tmp_path / "archive")
    out = tmp_path / "out"
    main = SCRIPTS.get(name, prepare_fets2021.main)
    assert main(["--archive", str(archive), "--out", str(out), "--strict", *OPTIONS]) == 0
    cohort = Cohort.open(out)
    told = capsys.readouterr().out
    # before anything else
    assert told.startswith(f"{cohort.title}\nLicence: {cohort.licence}\nCite: {cohort.citation}\n")
    assert cohort.simulated is False
    assert cohort.modalities == tiny_cohort.modalities
    assert list(cohort.targets) == list(tiny_cohort.targets)
    for subject, simulated in zip(sorted(cohort.subjects)[1:5], tiny_cohort.subjects[1:5], strict=False):
        if name in ("brats2020", "brats2023"):  # one case has another place in the order
            continue
        for modality in cohort.modalities:
            np.testing.assert_allclose(
                cohort.image(subject, modality), tiny_cohort.image(simulated, modality), atol=2e-3
            )
        for target in cohort.targets:
            np.testing.assert_array_equal(cohort.labels(subject, target), tiny_cohort.labels(simulated, target))
            assert cohort.targets[target].classes == tiny_cohort.targets[target].classes


def test_odd_mask_and_plain_files_of_brats2020(tiny_archive, tmp_path):
    archive = archives.brats2020(tiny_archive, tmp_path / "archive", count=1)
    (archive / "BraTS20_Training_355" / "._W39_1998.09.19_Segm.nii").write_bytes(b"Mac OS X")
    (files,) = LAYOUTS["brats2020"].find(archive)
    assert files.label.name == "W39_1998.09.19_Segm.nii"
    _, labels, _ = read_subject(files, LAYOUTS["brats2020"])
    assert set(np.unique(labels)) == {0, 1, 2, 4}


def test_missing_sub_region_is_no_error(tiny_archive, tmp_path):
    archive = archives.brats2021(tiny_archive, tmp_path / "archive", count=1)
    (files,) = LAYOUTS["brats2021"].find(archive)
    _, labels, _ = read_subject(files, LAYOUTS["brats2021"])
    assert set(np.unique(labels)) == {0, 1, 2}


def test_enhancing_tumour_is_3_from_2023_on_and_4_before(tiny_archive, tmp_path):
    archive = archives.brats2023(tiny_archive, tmp_path / "archive", count=2)
    first, _ = LAYOUTS["brats2023"].find(archive)
    _, labels, _ = read_subject(first, LAYOUTS["brats2023"])
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    archives.rewrite(first.label, first.label, {3: 4})
    with pytest.raises(SubjectError, match=r"unknown label value 4 .* known are 0, 1, 2, 3"):
        read_subject(first, LAYOUTS["brats2023"])


def test_brats_2024_is_known_by_its_scans_after_treatment_and_keeps_the_cavity(tiny_archive, tmp_path):
    archive = archives.brats2024(tiny_archive, tmp_path / "archive")
    assert detect_layout(archive) == "brats2024"
    assert prepare_fets2021.main(["--archive", str(archive), "--out", str(tmp_path / "out"), "--strict", *OPTIONS]) == 0
    cohort = Cohort.open(tmp_path / "out")
    assert cohort.title == "BraTS 2024"
    assert "arXiv:2405.18368" in cohort.citation
    assert len(cohort.subjects) == 6
    first = cohort.raw_labels("BraTS-GLI-00001-100")
    assert np.array_equal(cohort.labels("BraTS-GLI-00001-100", "RC") > 0, first == 4)
    assert (first == 4).any()
    assert not cohort.labels("BraTS-GLI-00001-100", "WT")[first == 4].any(), "a cavity is no tumour"


def test_a_release_that_is_read_as_an_older_one_is_refused_as_a_whole(tiny_archive, tmp_path, capsys):
    archive = archives.brats2024(tiny_archive, tmp_path / "archive")
    for folder in sorted(archive.iterdir()):
        for path in sorted(folder.iterdir()):
            path.rename(path.with_name(path.name.replace("-100-", "-000-")))
        folder.rename(folder.with_name(folder.name.replace("-100", "-000")))
    assert prepare_fets2021.main(["--archive", str(archive), "--out", str(tmp_path / "out"), *OPTIONS]) == 2
    assert "label value 4 is in 3 of 6 subjects, and BraTS 2023 does not know it" in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_folder_whose_name_is_misspelled_is_named(tiny_archive, tmp_path, capsys):
    archive = archives.fets2021(tiny_archive, tmp_path / "archive")
    (archive / "FeTS21_Training_002").rename(archive / "FeTS21_Training_002 (copy)")
    assert (
        prepare_fets2021.main(["--archive", str(archive), "--out", str(tmp_path / "out"), "--unsplit", *OPTIONS]) == 0
    )
    told = capsys.readouterr().err
    assert "1 folders hold volumes and are no subject of this layout: FeTS21_Training_002 (copy)" in told


def test_scans_of_one_patient_stay_in_one_part(tiny_archive, tmp_path):
    archive = archives.brats2023(tiny_archive, tmp_path / "archive")
    for seed in range(3):
        manifest = prepare(archive, tmp_path / "out", **ARGUMENTS, seed=seed, dry_run=True)
        of_patient = {"BraTS-GLI-00002-000", "BraTS-GLI-00002-001"}
        assert sum(bool(of_patient & set(part)) for part in manifest["split"].values()) == 1
        assert len(manifest["subjects"]) == 6


@pytest.mark.parametrize("columns", [("Subject_ID", "Partition_ID"), ("Partition_ID", "Subject_ID")])
@pytest.mark.parametrize("spelling", ["FeTS2022_{:05d}", "FeTS2022_{}", "{}", " FeTS2022_{:05d} "])
def test_sites_are_found_whatever_the_columns_order_and_the_zeros(tmp_path, columns, spelling):
    (tmp_path / "FeTS2022_00007").mkdir()
    row = (spelling.format(7), "12")
    archives.write_table(tmp_path / "partitioning_1.csv", columns, [row if columns[0] == "Subject_ID" else row[::-1]])
    (tmp_path / "._partitioning_1.csv").write_bytes(b"Mac OS X")
    (files,) = LAYOUTS["fets2022"].find(tmp_path)
    assert files.site == "12"


@pytest.mark.parametrize(
    ("rows", "message"), [([("x", "1")], "end in a number"), ([("a_1", "1"), ("a_01", "2")], "with two sites, 1 and 2")]
)
def test_a_table_of_sites_that_contradicts_itself_is_named(tmp_path, rows, message):
    archives.write_table(tmp_path / "partitioning_1.csv", ("Subject_ID", "Partition_ID"), rows)
    with pytest.raises(ValueError, match=message):
        read_partitioning(tmp_path)


def with_entry(key, **changes):
    return {**archives.DATASET, key: {**archives.DATASET[key], **changes}}


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (with_entry("labels", **{"2": "enhancing tumour", "3": "non-enhancing tumor"}), "must give labels in the"),
        (with_entry("modality", **{"0": "T1w", "1": "FLAIR"}), "must give modality in the order FLAIR, T1, T1ce"),
        ({"labels": archives.DATASET["labels"]}, "must give modality"),
    ],
)
def test_msd_with_another_order_is_named(tiny_archive, tmp_path, dataset, message):
    archive = archives.msd(tiny_archive, tmp_path / "archive", count=1, dataset=dataset)
    with pytest.raises(ValueError, match=message):
        detect_layout(archive)
    (archive / "dataset.json").unlink()
    with pytest.raises(ValueError, match=r"dataset\.json is missing"):
        detect_layout(archive)


def test_msd_file_without_its_four_channels_is_named(tiny_archive, tmp_path):
    archive = archives.msd(tiny_archive, tmp_path / "archive", count=1)
    files, _ = LAYOUTS["msd_brain_tumour"].find(archive)
    path = files.images["FLAIR"]
    image = nibabel.load(path)
    nibabel.Nifti1Image(np.asarray(image.dataobj)[..., :3], image.affine).to_filename(path)
    with pytest.raises(SubjectError, match=r"wrong shape: .* four axes are needed, the last with 4 channels"):
        read_subject(files, LAYOUTS["msd_brain_tumour"])
    files.label.unlink()
    with pytest.raises(SubjectError, match="missing label"):
        read_subject(files, LAYOUTS["msd_brain_tumour"])


def test_iseg_with_its_test_subjects(tiny_infants, tmp_path, capsys):
    archive = archives.iseg(tiny_infants, tmp_path / "archive")
    assert nibabel.load(archive / "subject-1-T1.hdr").shape[3:] == (1,)
    out = tmp_path / "out"
    box = ["--spacing", "4", "--box", "160", "192", "160", "--jobs", "1"]
    assert prepare_iseg2019.main(["--archive", str(archive), "--out", str(out), "--strict", *box]) == 0
    told = capsys.readouterr().out
    assert "must not be redistributed" in told
    assert "needs the organisers' permission" in told
    assert "no reliable orientation" in told
    assert "1 unlabelled test subjects of the archive are left out." in told
    assert read_json(out / "manifest.json")["left_out"] == ["subject-11"]
    cohort = Cohort.open(out)
    assert len(cohort.subjects) == 5
    assert "only to prepare an entry" in " ".join(cohort.licence.split())
    # a labelled subject that lacks its labels is an error all the same
    for suffix in (".hdr", ".img"):
        (archive / f"subject-5-label{suffix}").unlink()
    manifest = prepare(archive, tmp_path / "again", spacing=4, box=(160, 192, 160), jobs=1, unsplit="target_test")
    assert [problem["subject"] for problem in manifest["problems"]] == ["subject-5"]


@pytest.mark.parametrize("name", ["iseg2017", "iseg2019"])
def test_the_archive_tells_which_iseg_it_is(name, tiny_infants, tmp_path):
    around = getattr(archives, name)(tiny_infants, tmp_path / "archive")
    inner = around / f"iSeg-{name[-4:]}-Training"
    for archive in (around, inner):
        manifest = prepare(archive, tmp_path / "out", spacing=4, box=(160, 192, 160), jobs=1, dry_run=True)
        assert manifest["title"] == f"iSeg-{name[-4:]}"


def test_an_iseg_archive_whose_year_is_unclear_says_so(tiny_infants, tmp_path):
    archive = archives.iseg(tiny_infants, tmp_path / "infants")
    assert title_of_iseg(archive) == "iSeg-2019 or 2017"
    for year in ("2017", "2019"):
        (archive / f"iSeg-{year}-Training").mkdir()
    assert title_of_iseg(archive) == "iSeg-2019 or 2017"


def test_test_cases_of_msd_are_counted(tiny_archive, tmp_path):
    manifest = prepare(archives.msd(tiny_archive, tmp_path / "archive"), tmp_path / "out", **ARGUMENTS, dry_run=True)
    assert manifest["left_out"] == ["BRATS_900"]
    assert manifest["problems"] == []
    archive = archives.fets2021(tiny_archive, tmp_path / "fets")
    assert prepare(archive, tmp_path / "out", **ARGUMENTS, dry_run=True)["left_out"] == []


def test_a_link_that_leads_out_of_the_archive_is_named(tiny_archive, tmp_path):
    archive = archives.fets2021(tiny_archive, tmp_path / "archive", count=2)
    inside, outside = (archive / f"FeTS21_Training_00{n}" / f"FeTS21_Training_00{n}_t1.nii.gz" for n in (1, 2))
    inside.rename(archive / "elsewhere.nii.gz")
    inside.symlink_to(archive / "elsewhere.nii.gz")
    shutil.move(outside, tmp_path / "outside.nii.gz")
    outside.symlink_to(tmp_path / "outside.nii.gz")
    manifest = prepare(archive, tmp_path / "out", **ARGUMENTS, unsplit="target_test")
    assert list(manifest["subjects"]) == ["FeTS21_Training_001"]
    (problem,) = manifest["problems"]
    assert problem["subject"] == "FeTS21_Training_002"
    assert "modality T1 is a link that leads out of the archive's folder" in problem["reason"]


def test_a_dry_run_says_what_is_wrong_and_writes_nothing(tiny_archive, tmp_path, capsys):
    archive = archives.fets2021(tiny_archive, tmp_path / "archive", count=6)
    (archive / "FeTS21_Training_002" / "FeTS21_Training_002_t2.nii.gz").unlink()
    before = sorted(path.name for path in tmp_path.rglob("*"))
    command = ["--archive", str(archive), "--out", str(tmp_path / "out"), "--dry-run", *OPTIONS]
    assert prepare_fets2021.main(command) == 0
    captured = capsys.readouterr()
    assert "5 subjects would be prepared" in captured.out
    assert "would skip FeTS21_Training_002: missing modality T2" in captured.err
    assert prepare_fets2021.main([*command, "--strict"]) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_sites_and_subjects_choose(tiny_archive, tmp_path):
    archive = archives.fets2021(tiny_archive, tmp_path / "archive", count=5)

    def chosen(**options):
        manifest = prepare(archive, tmp_path / "out", **ARGUMENTS, unsplit="target_test", dry_run=True, **options)
        return [int(subject[-3:]) for subject in manifest["subjects"]]

    assert chosen(sites=["2"]) == [1, 3, 5]
    assert chosen(subjects=["3"]) == [1, 2, 3]
    assert chosen(sites=["2"], subjects=["2"]) == [1, 3]
    assert chosen(subjects=["FeTS21_Training_004"]) == [4]
    for options in ({"sites": ["9"]}, {"subjects": ["nobody"]}, {"sites": "1"}):
        with pytest.raises(ValueError, match="must be a list of those in the archive"):
            chosen(**options)
    with pytest.raises(ValueError, match="no labelled subject"):
        chosen(sites=["2"], subjects=["FeTS21_Training_004"])


def test_unsplit_keeps_one_patient_to_look_at(tiny_archive, tmp_path):
    archive = archives.fets2021(tiny_archive, tmp_path / "archive", count=1)
    with pytest.raises(ValueError, match="1 sound subjects are too few"):
        prepare(archive, tmp_path / "split", **ARGUMENTS)
    out = tmp_path / "out"
    assert prepare_fets2021.main(["--archive", str(archive), "--out", str(out), "--unsplit", *OPTIONS]) == 0
    cohort = Cohort.open(out)
    assert cohort.part("target_test") == ("FeTS21_Training_001",)
    assert cohort.image("FeTS21_Training_001", "T1").any()
    with pytest.raises(CohortError, match=r"part 'source_train' of cohort out is empty.*target_test"):
        cohort.part("source_train")
    assert read_json(out / "manifest.json")["parameters"]["unsplit"] == "target_test"
    with pytest.raises(ValueError, match="give one of both"):
        prepare(archive, out, **ARGUMENTS, unsplit="target_test", source_sites=["1"])


def packed(archive, path):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as file:
            for member in sorted(archive.rglob("*")):
                file.write(member, member.relative_to(archive.parent))
    else:
        with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as file:
            file.add(archive, archive.name)
    return path


@pytest.mark.parametrize("name", ["set.tar", "set.tar.gz", "set.zip"])
def test_packed_archives_are_unpacked_once(tiny_archive, tmp_path, name, capsys):
    path = packed(archives.fets2021(tiny_archive, tmp_path / "archive", count=1), tmp_path / name)
    folder = tmp_path / "unpacked"
    with pytest.raises(UnpackError, match="dry run"):
        unpack_archive(path, folder, dry_run=True)
    assert not folder.exists()
    command = ["--archive", str(path), "--unpack-to", str(folder), "--out", str(tmp_path / "out"), "--unsplit"]
    assert prepare_fets2021.main([*command, *OPTIONS]) == 0
    marked = folder / "set" / "marked"
    marked.touch()
    assert unpack_archive(path, folder) == folder / "set"
    assert marked.exists()
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UnpackError, match="move it away first"):
        unpack_archive(path, folder)
    shutil.rmtree(folder)
    with pytest.raises(UnpackError, match="damaged or no archive"):
        unpack_archive(path, folder)
    assert not list(folder.rglob("*"))


def extract_of_python_3_11_0(self, member, path="", set_attrs=True, *, numeric_owner=False):
    """Takes no ``filter``, which came with Python 3.11.4, and without one writes wherever a member wants."""
    raise AssertionError("nothing keeps a member within its folder")


@pytest.mark.parametrize("name", ["set.tar", "set.tar.gz", "set.zip"])
def test_unpacking_needs_no_filter_and_keeps_empty_folders(tmp_path, monkeypatch, name):
    source = tmp_path / "set"
    (source / "scans" / "empty").mkdir(parents=True)
    (source / "scans" / "one.txt").write_bytes(b"one")
    (source / "none.txt").touch()
    path = packed(source, tmp_path / name)
    monkeypatch.setattr(tarfile.TarFile, "extract", extract_of_python_3_11_0)
    folder = unpack_archive(path, tmp_path / "unpacked") / "set"
    assert sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*")) == [
        "none.txt",
        "scans",
        "scans/empty",
        "scans/one.txt",
    ]
    assert (folder / "scans" / "empty").is_dir()
    assert (folder / "scans" / "one.txt").read_bytes() == b"one"


def test_a_file_that_lies_in_a_folder_without_an_entry_of_its_own_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
        file.writestr("a/b/c.txt", b"c")
    assert (unpack_archive(tmp_path / "set.zip", tmp_path / "unpacked") / "a/b/c.txt").read_bytes() == b"c"


@pytest.mark.parametrize(("place", "value"), [(6, 1), (8, 9)], ids=["password", "Deflate64"])
def test_a_zip_that_python_cannot_read_is_to_be_unpacked_by_hand(tmp_path, capsys, place, value):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("scan.txt", b"scan" * 100)
    content = bytearray(path.read_bytes())
    # the same field stands two bytes later in the list of members at the end
    content[place] = content[content.index(b"PK\x01\x02") + place + 2] = value
    path.write_bytes(content)
    command = ["--archive", str(path), "--unpack-to", str(tmp_path / "unpacked"), "--out", str(tmp_path / "out")]
    assert prepare_fets2021.main(command) == 2
    told = capsys.readouterr().err
    assert f"scan.txt in {path} cannot be read" in told
    assert "unpack it by hand and give the folder" in told
    assert not list((tmp_path / "unpacked").iterdir())


def with_link(file, name, kind, target):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    file.addfile(member)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("../evil", "leads out"), ("/evil", "leads out"), ("a/../../evil", "leads out"), ("link", "is a link")],
)
def test_unsafe_members_are_named_before_anything_is_written(tmp_path, name, reason):
    path, folder = tmp_path / "evil.tar", tmp_path / "unpacked"
    with tarfile.open(path, "w") as file:
        good = tarfile.TarInfo("good")
        good.size = 4
        file.addfile(good, io.BytesIO(b"good"))
        if name == "link":
            with_link(file, "link", tarfile.SYMTYPE, "/etc/passwd")
            with_link(file, "hard", tarfile.LNKTYPE, "../good")
        else:
            file.addfile(tarfile.TarInfo(name))
    with pytest.raises(UnpackError, match=reason):
        unpack_archive(path, folder)
    assert not list(folder.rglob("*"))
    assert not (tmp_path / "evil").exists()
    if name != "link":
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
            file.writestr(name, b"evil")
        with pytest.raises(UnpackError, match=reason):
            unpack_archive(tmp_path / "evil.zip", folder)


def test_a_path_that_is_no_archive_is_named(tmp_path):
    (tmp_path / "set.rar").touch()
    for path in (tmp_path / "set.rar", tmp_path / "none.tar"):
        with pytest.raises(ValueError, match=r"neither a folder nor a file that ends in \.tar\.gz"):
            unpack_archive(path, tmp_path / "unpacked")


def test_download_takes_address_and_hash_from_monai(tiny_archive, tmp_path, monkeypatch, capsys):
    calls = []

    def fetch(url, filepath, hash_val, hash_type):
        calls.append((url, hash_val, hash_type))
        filepath.parent.mkdir(parents=True, exist_ok=True)
        packed(archives.msd(tiny_archive, tmp_path / "Task01_BrainTumour"), filepath)

    monkeypatch.setattr(prepare_msd, "download_url", fetch)
    command = ["--download", "--unpack-to", str(tmp_path / "archives"), "--out", str(tmp_path / "out"), *OPTIONS]
    assert prepare_msd.main([*command, "--dry-run"]) == 2
    assert not calls
    assert prepare_msd.main(command) == 0
    ((url, checksum, kind),) = calls
    assert url.endswith("/Task01_BrainTumour.tar")
    assert (len(checksum), kind) == (32, "md5")
    assert "CC-BY-SA 4.0" in Cohort.open(tmp_path / "out").licence


def test_a_download_that_fails_is_named(tmp_path, monkeypatch, capsys):
    command = ["--download", "--unpack-to", str(tmp_path / "archives"), "--out", str(tmp_path / "out")]

    def fail(*_, **__):
        raise RuntimeError("md5 hash check of downloaded file failed")

    for fetch, message in ((fail, "could not be fetched: md5 hash check"), (lambda *_, **__: None, "not be written")):
        monkeypatch.setattr(prepare_msd, "download_url", fetch)
        assert prepare_msd.main(command) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def serve(monkeypatch, content):
    """Let MONAI's download fetch ``content`` from nowhere; the hash is compared by MONAI itself."""
    fetched = []

    def urlretrieve(url, filename, reporthook=None):
        fetched.append(url)
        filename.write_bytes(content)

    monkeypatch.setattr("monai.apps.utils.urlretrieve", urlretrieve)
    return fetched


def test_a_download_is_compared_with_the_hash_and_fetched_once(tiny_archive, tmp_path, monkeypatch, capsys):
    archive = archives.msd(tiny_archive, tmp_path / TASK)
    content = packed(archive, tmp_path / "served.tar").read_bytes()
    fetched = serve(monkeypatch, content)
    folder = tmp_path / "archives"
    command = ["--download", "--unpack-to", str(folder), "--out", str(tmp_path / "out"), *OPTIONS]
    assert prepare_msd.main(command) == 2
    told = capsys.readouterr().err
    assert "Task01_BrainTumour could not be fetched: md5 hash check of downloaded file failed" in told
    assert DecathlonDataset.md5[TASK] in told
    assert not folder.exists()
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(DecathlonDataset.md5, TASK, hashlib.md5(content).hexdigest())
    for _ in range(2):
        assert prepare_msd.main(command) == 0
    assert fetched == [DecathlonDataset.resource[TASK]] * 2
    assert len(Cohort.open(tmp_path / "out").subjects) == 5


def test_a_damaged_earlier_download_is_named(tmp_path, monkeypatch, capsys):
    fetched = serve(monkeypatch, b"")
    path = tmp_path / f"{TASK}.tar"
    path.write_bytes(b"half a tar")
    command = ["--download", "--unpack-to", str(tmp_path), "--out", str(tmp_path / "out")]
    assert prepare_msd.main(command) == 2
    told = capsys.readouterr().err
    assert "md5 hash check of existing file failed" in told
    assert f"delete {path}" in told
    assert not fetched


def test_a_real_patient_is_prepared(real_glioma, tmp_path):
    command = ["--archive", str(real_glioma), "--out", str(tmp_path / "out"), "--unsplit", "--strict", "--jobs", "1"]
    assert prepare_fets2021.main(command) == 0
    cohort = Cohort.open(tmp_path / "out")
    (patient,) = cohort.part("target_test")
    assert cohort.shape == (96, 112, 88)
    assert set(np.unique(cohort.raw_labels(patient))) == {0, 1, 2}
    assert not cohort.labels(patient, "ET").any()
    assert cohort.image(patient, "FLAIR")[cohort.brain(patient)].mean() == pytest.approx(0, abs=1e-3)
