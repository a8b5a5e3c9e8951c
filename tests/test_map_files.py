"""Statistics and maps that stream equal those of all patients at once."""

import nibabel
import numpy as np
import pytest
import torch

from riskmap import LeepStatistics, TransferRiskMap
from riskmap.data.cohort import Task
from riskmap.data.patients import load_slices
from riskmap.data.volumes import KeptVolumes
from riskmap.project.files import read_json, sha256_of_file
from riskmap.project.workers import torch_threads
from riskmap.training.config import NetworkConfig
from riskmap.training.map_files import stream_statistics, write_risk_maps
from riskmap.training.networks import build_network
from riskmap.training.prediction import predict_probabilities

TASK = Task("T1ce", "TC")
NETWORK = build_network(2, NetworkConfig(channels=(4, 8)))


def batches_of(cohort, subjects):
    """Return the source's probabilities and the labels of each patient."""
    slices = [load_slices(cohort, [subject], TASK) for subject in subjects]
    return [(torch.cat(list(predict_probabilities(NETWORK, each.images, "float32"))), each.labels) for each in slices]


def test_streamed_statistics_equal_those_of_all_patients_at_once(tiny_cohort):
    subjects = tiny_cohort.subjects[:3]
    streamed = stream_statistics(NETWORK, 2, tiny_cohort, subjects, TASK, "float32")
    slices = load_slices(tiny_cohort, subjects, TASK)
    probabilities = torch.cat(list(predict_probabilities(NETWORK, slices.images, "float32")))
    at_once = LeepStatistics(2, 2).update(probabilities, slices.labels)
    assert streamed.num_pixels == at_once.num_pixels
    torch.testing.assert_close(streamed.joint(), at_once.joint(), rtol=1e-6, atol=0)


def test_maps_are_written_per_patient_and_kept(tiny_cohort, tmp_path):
    subjects = tiny_cohort.subjects[:2]
    statistics = stream_statistics(NETWORK, 2, tiny_cohort, subjects, TASK, "float32")
    risk_map = TransferRiskMap(statistics, scaling="dataset", weighting="hardness")
    risk_map.fit(batches_of(tiny_cohort, subjects))
    arguments = (NETWORK, risk_map, tiny_cohort, subjects, TASK, tmp_path, "float32", False)
    folder = write_risk_maps(*arguments)
    record = read_json(folder / "manifest.json")["subjects"]
    assert list(record) == list(subjects)
    image = nibabel.load(folder / record[subjects[0]]["path"])
    np.testing.assert_allclose(image.affine, tiny_cohort.affine(subjects[0]))
    weights = np.asarray(image.dataobj)
    holds_brain = tiny_cohort.brain(subjects[0]).any(axis=(0, 1))
    assert not weights[..., ~holds_brain].any()
    # the order of a sum, and so its last bits, depends on the number of threads
    with torch_threads(1):
        batches = batches_of(tiny_cohort, subjects[:1])
    expected = torch.cat([risk_map(*batch) for batch in batches])
    np.testing.assert_allclose(weights[..., holds_brain].transpose(2, 0, 1), expected[:, 0], rtol=1e-6)
    # what is there is kept, what is missing is made
    last = folder / f"{subjects[1]}_weight.nii.gz"
    moment, digest = (folder / f"{subjects[0]}_weight.nii.gz").stat().st_mtime_ns, record[subjects[1]]["sha256"]
    last.unlink()
    assert write_risk_maps(*arguments) == folder
    assert (folder / f"{subjects[0]}_weight.nii.gz").stat().st_mtime_ns == moment
    assert read_json(folder / "manifest.json")["subjects"][subjects[1]]["sha256"] == digest
    assert not list(folder.glob(".part-*"))


def test_two_processes_give_what_one_gives_to_the_last_bit(tiny_cohort, tmp_path):
    subjects = tiny_cohort.subjects[:3]
    one, two = (stream_statistics(NETWORK, 2, tiny_cohort, subjects, TASK, jobs=jobs) for jobs in (1, 2))
    assert one.num_pixels > 0
    assert one.state_dict() == two.state_dict()
    maps = TransferRiskMap(one)
    folders = [
        write_risk_maps(NETWORK, maps, tiny_cohort, subjects, TASK, tmp_path / str(jobs), progress=False, jobs=jobs)
        for jobs in (1, 2)
    ]
    first, second = (read_json(folder / "manifest.json") for folder in folders)
    assert list(second["subjects"]) == list(subjects)
    assert first == second


def test_a_damaged_map_is_made_again(tiny_cohort, tmp_path):
    subjects = tiny_cohort.subjects[:2]
    maps = TransferRiskMap(stream_statistics(NETWORK, 2, tiny_cohort, subjects, TASK))
    arguments = (NETWORK, maps, tiny_cohort, subjects, TASK, tmp_path, "auto", False)
    folder = write_risk_maps(*arguments)
    manifest = read_json(folder / "manifest.json")
    damaged, kept = (folder / f"{subject}_weight.nii.gz" for subject in subjects)
    sound, moment = damaged.read_bytes(), kept.stat().st_mtime_ns
    damaged.write_bytes(sound[: len(sound) // 2])
    write_risk_maps(*arguments)
    assert damaged.read_bytes() == sound
    assert kept.stat().st_mtime_ns == moment
    assert read_json(folder / "manifest.json") == manifest


def test_a_later_call_with_other_patients_keeps_the_maps_of_the_first(tiny_cohort, tmp_path):
    first, second, third = tiny_cohort.subjects[:3]
    maps = TransferRiskMap(stream_statistics(NETWORK, 2, tiny_cohort, [first], TASK))
    folders, manifests = [], []
    for subjects in ([first, second], [third, second]):
        folders.append(write_risk_maps(NETWORK, maps, tiny_cohort, subjects, TASK, tmp_path, progress=False))
        manifests.append(read_json(folders[-1] / "manifest.json"))
    assert folders[0] == folders[1]
    assert manifests[1]["subjects"].keys() == {first, second, third}
    assert manifests[1]["subjects"].items() >= manifests[0]["subjects"].items()
    assert manifests[1]["parameters"] == manifests[0]["parameters"]
    for each in manifests[1]["subjects"].values():
        assert sha256_of_file(folders[1] / each["path"]) == each["sha256"]


def test_an_impossible_number_of_processes_is_named(tiny_cohort, tmp_path):
    with pytest.raises(ValueError, match="jobs"):
        stream_statistics(NETWORK, 2, tiny_cohort, tiny_cohort.subjects[:1], TASK, jobs=0)
    maps = TransferRiskMap(LeepStatistics(2, 2))
    with pytest.raises(ValueError, match="jobs"):
        write_risk_maps(NETWORK, maps, tiny_cohort, tiny_cohort.subjects[:1], TASK, tmp_path, jobs=0)


def test_kept_volumes_are_bounded_by_bytes(tiny_cohort):
    records = [(tiny_cohort.folder / each["path"], each["sha256"]) for each in tiny_cohort._stored_files()]
    size = tiny_cohort.brain(tiny_cohort.subjects[0]).size
    volumes = KeptVolumes(limit=5 * size)
    for path, sha256 in records:
        volumes.read(path, sha256)
        assert volumes.num_bytes <= 5 * size
    assert volumes.read(*records[-1])[0] is volumes.read(*records[-1])[0]
