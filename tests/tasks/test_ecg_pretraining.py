"""Pre-training data: pairs or single segments, of our manifests and the authors'."""

import numpy as np
import pytest
import scipy.io
import torch

from fairseq_signals.errors import ManifestError


@pytest.fixture
def mat_files(tmp_path):
    """Segments 0 to 3 of records A and B as the authors' preprocessing writes them."""
    rng = np.random.default_rng(0)
    for name in ("A", "B"):
        for k in range(4):
            signal = {"feats": rng.normal(size=(12, 40)), "curr_sample_rate": 500}
            scipy.io.savemat(tmp_path / f"{name}_{k}.mat", signal)
    return tmp_path


def write(folder, *lines):
    (folder / "train.tsv").write_text("\n".join([str(folder), *lines]) + "\n")


def batch_of(task):
    task.load_dataset("train")
    dataset = task.dataset("train")
    return dataset.collater([dataset[i] for i in range(len(dataset))])


def test_pairs_of_the_authors_cmsc_manifest(setup, mat_files):
    write(mat_files, "mat", "A\t40\t0\t0,1", "B\t40\t0\t2,3")
    batch = batch_of(setup("ecg_pretraining", mat_files))
    assert batch["segment"].tolist() == [0, 1, 0, 1]
    assert batch["patient_id"].tolist() == [0, 0, 1, 1]
    expected = scipy.io.loadmat(mat_files / "B_3.mat")["feats"].astype(np.float32)
    assert np.array_equal(batch["net_input"]["source"][3].numpy(), expected)


def test_single_segments_of_the_authors_plain_manifest(setup, mat_files):
    write(mat_files, "A_0.mat\t40", "B_1.mat\t40", "B_3.mat\t40")
    batch = batch_of(setup("ecg_pretraining", mat_files, segment_pairs=False))
    assert batch["net_input"]["source"].shape == (3, 12, 40)
    assert batch["record_id"].tolist() == [0, 1, 1]
    with pytest.raises(ManifestError, match="has no pair of segments to use"):
        batch_of(setup("ecg_pretraining", mat_files))


def test_random_lead_masking_applies_to_training_and_to_validation(setup, mat_files):
    write(mat_files, "mat", "A\t40\t0\t0,1", "B\t40\t0\t2,3")
    (mat_files / "valid.tsv").write_text((mat_files / "train.tsv").read_text())
    options = {"perturbation_mode": ["random_leads_masking"], "mask_leads_selection": "conditional"}
    task = setup("ecg_pretraining", mat_files, **options, mask_leads_condition=[4, 5])
    for split in ("train", "valid"):
        task.load_dataset(split)
        for part in task.dataset(split)[0]:
            assert (~part["source"].any(dim=1)).sum() == 9


def test_the_seed_of_the_whole_configuration_is_that_of_the_data(setup, mat_files):
    write(mat_files, "mat", "A\t40\t0\t0,1", "B\t40\t0\t2,3")
    options = {"perturbation_mode": ["random_leads_masking"]}
    one, same = (batch_of(setup("ecg_pretraining", mat_files, **options)) for _ in range(2))
    assert torch.equal(one["net_input"]["source"], same["net_input"]["source"])
    other = batch_of(setup("ecg_pretraining", mat_files, **options, seed=2))
    assert not torch.equal(one["net_input"]["source"], other["net_input"]["source"])
