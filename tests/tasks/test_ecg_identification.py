"""Identification: classes for training, and gallery against probe over the whole validation set."""

import numpy as np
import pytest
import scipy.io
import torch
import torch.nn.functional as F
from torch import nn

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.tasks.ecg_identification import identification_accuracy

PATIENTS, T, D = 8, 32, 3


class FirstSamples(nn.Module):
    """Embeddings that are the normalised first samples of lead I, so that a test knows them."""

    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.eye(5, D) + 0.1)

    def forward(self, source, padding_mask=None, lead_present=None):
        return F.normalize(source[:, 0, :D], dim=-1)

    def cosine_logits(self, embedding):
        return embedding @ F.normalize(self.kernel, dim=-1).T


def rows_of(records, segments=(0, 1), target=""):
    return [
        Row(f"shard-00000.arrow#{record}:{T * k}", T, f"x/r{record}", f"x/p{record % PATIENTS}", k, target)
        for record in records
        for k in segments
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two records a patient, 8 apart; gallery: the first ones, probe: the second ones, two segments each."""
    folder = tmp_path_factory.mktemp("identification")
    rng = np.random.default_rng(4)
    rows = [
        StoreRow(
            f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), rng.integers(-300, 300, (12, 2 * T)).astype("i2")
        )
        for i in range(2 * PATIENTS)
    ]
    write_shard(folder / "shard-00000.arrow", rows)
    for split, patients in (("valid", range(5)), ("test", range(3, 8))):
        (folder / f"{split}_gallery.tsv").write_text("".join(format_manifest(folder, rows_of(patients))))
        (folder / f"{split}_probe.tsv").write_text(
            "".join(format_manifest(folder, rows_of([p + PATIENTS for p in patients])))
        )
    train = [row._replace(target=str(i)) for i in range(5) for row in rows_of([i])]
    (folder / "train.tsv").write_text("".join(format_manifest(folder, train)))
    return folder


@pytest.fixture
def task(setup, data):
    task = setup("ecg_identification", data)
    for split in ("valid", "test"):
        task.load_dataset(split)
    return task


def everything(dataset) -> dict:
    """All items of a dataset as one batch."""
    return dataset.collater(range(len(dataset)))


def expected_accuracy(task, subset, per_record=True) -> float:
    """By a slow double loop."""
    batch = everything(task.dataset(subset))
    columns = [batch[key].tolist() for key in ("patient_id", "record_id", "segment", "is_probe")]
    sides = ({}, {})
    for source, patient, record, segment, is_probe in zip(batch["net_input"]["source"], *columns):
        embedding = F.normalize(source[0, :D].double(), dim=0)
        key = (patient, record, 0 if per_record else segment)
        sides[is_probe].setdefault(key, []).append(embedding)
    right = 0
    for key, embeddings in sides[1].items():
        similarity = {
            other: float(F.cosine_similarity(sum(embeddings), sum(there), dim=0))
            for other, there in sides[0].items()
        }
        right += max(similarity, key=similarity.get)[0] == key[0]
    return right / len(sides[1])


@pytest.mark.parametrize("per_record", [True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 19, 20, 64])
def test_accuracy_is_of_the_whole_set_whatever_the_batches(
    setup, data, build_criterion, validate, per_record, batch_size
):
    task = setup("ecg_identification", data, per_record=per_record)
    for subset in ("valid", "test"):
        task.load_dataset(subset)
        found = validate(task, build_criterion(task, "arcface"), FirstSamples().eval(), subset, batch_size)
        assert found["accuracy"] == expected_accuracy(task, subset, per_record)
        assert found["loss"] == 1 - found["accuracy"]


def test_the_accuracies_of_that_test_are_neither_chance_nor_perfect_nor_all_the_same(task):
    found = {
        expected_accuracy(task, subset, per_record)
        for subset in ("valid", "test")
        for per_record in (True, False)
    }
    assert len(found) > 1
    assert max(found) < 1


def test_a_perfect_embedding_identifies_everyone(task, build_criterion, validate):
    class Oracle(FirstSamples):
        def forward(self, source, padding_mask=None, lead_present=None):
            return F.one_hot(next(patients), PATIENTS).float()

        def cosine_logits(self, embedding):
            return embedding

    patients = iter(everything(task.dataset("valid"))["patient_id"].split(7))
    found = validate(task, build_criterion(task, "arcface"), Oracle().eval(), batch_size=7)
    assert found["accuracy"] == 1
    assert found["loss"] == 0


def test_gallery_and_probe_are_one_split_with_their_patients(task):
    batch = everything(task.dataset("valid"))
    assert batch["is_probe"].tolist() == [False] * 10 + [True] * 10
    gallery, probe = batch["patient_id"].split(10)
    assert torch.equal(gallery, probe)
    records = batch["record_id"].tolist()
    assert not set(records[:10]) & set(records[10:])
    assert "label" not in batch


def test_the_authors_comparison_of_class_cosines_is_an_option(setup, data, build_criterion, validate):
    for features, width in (("embedding", D), ("class_cosine", 5)):
        task = setup("ecg_identification", data, features=features)
        task.load_dataset("valid")
        found = validate(task, build_criterion(task, "arcface"), FirstSamples().eval())
        outputs = task.validation["valid"].columns()
        assert outputs["embedding"].shape == (20, width)
        assert found["accuracy"] == identification_accuracy(**outputs, normalize=features == "embedding")
    with pytest.raises(ConfigError, match=r"task.features must be one of embedding, class_cosine"):
        setup("ecg_identification", data, features="embeddings")


def test_training_has_a_class_for_every_patient_and_logs_its_accuracy(task, build_criterion):
    task.load_dataset("train")
    assert task.num_labels == 5
    dataset = task.dataset("train")
    sample = everything(dataset)
    assert sample["label"].tolist() == [i for i in range(5) for _ in range(2)]
    assert "is_probe" not in sample
    model = FirstSamples().train()
    loss, n, log = build_criterion(task, "arcface")(model, sample)
    cosine = model.cosine_logits(model(**sample["net_input"]))
    assert log["correct"] == (cosine.argmax(dim=1) == sample["label"]).sum()
    assert (n, log["labelled"]) == (10, 10)
    loss.backward()
    assert model.kernel.grad.abs().max() > 0


def test_a_validation_batch_in_training_logs_the_same_keys_of_the_same_kinds(task, build_criterion):
    # fairseq repeats one on workers that have no training batch left; all workers' logs are then summed
    task.load_dataset("train")
    criterion, model = build_criterion(task, "arcface"), FirstSamples().train()
    logs = []
    for subset in ("train", "valid"):
        dataset = task.dataset(subset)
        loss, _, log = criterion(model, dataset.collater([0, 1]))
        loss.backward()
        logs.append({key: getattr(value, "shape", None) for key, value in log.items()})
    assert logs[0] == logs[1]


def test_manifests_without_class_gallery_or_probe_are_refused(setup, data, tmp_path):
    (tmp_path / "train.tsv").write_text("".join(format_manifest(data, rows_of([0]))))
    task = setup("ecg_identification", tmp_path)
    with pytest.raises(ManifestError, match=r"train.tsv:2: a training segment needs one class, but has ''"):
        task.load_dataset("train")
    with pytest.raises(ManifestError, match=r"valid_gallery.tsv: there is no such manifest"):
        task.load_dataset("valid")
    (tmp_path / "valid_gallery.tsv").write_text("".join(format_manifest(data, rows_of([0]))))
    (tmp_path / "valid_probe.tsv").write_text("".join(format_manifest(data, [])))
    with pytest.raises(ManifestError, match=r"valid_probe.tsv: has no segment"):
        task.load_dataset("valid")


def test_manifests_of_the_authors_are_ready_to_train(setup, build_criterion, validate, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("A", "B", "C"):
        for k in range(2):
            signal = {"feats": rng.normal(size=(12, T)), "curr_sample_rate": 500}
            scipy.io.savemat(tmp_path / f"{name}_{k}.mat", signal)

    def lines(*rows):
        return "\n".join([str(tmp_path), *(f"{file}.mat\t{T}\t{target}" for file, target in rows)]) + "\n"

    (tmp_path / "train.tsv").write_text(lines(("A_0", 0), ("A_1", 0), ("B_0", 1), ("B_1", 1)))
    (tmp_path / "valid_gallery.tsv").write_text(lines(("A_0", 0), ("C_0", 1)))
    (tmp_path / "valid_probe.tsv").write_text(lines(("A_1", 0), ("C_1", 1)))
    task = setup("ecg_identification", tmp_path)
    for split in ("train", "valid"):
        task.load_dataset(split)
    dataset = task.dataset("train")
    batch = dataset.collater(range(4))
    assert batch["label"].tolist() == [0, 0, 1, 1]
    found = validate(task, build_criterion(task, "arcface"), FirstSamples().eval())
    assert found["accuracy"] == expected_accuracy(task, "valid")
