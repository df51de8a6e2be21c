"""`fairseq-signals clusters`: what it writes and tells, twice the same, of samples and of a model's layer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from fairseq_signals.checkpoints.clusters import STATISTICS, ClusterFile
from fairseq_signals.commands.clusters import main
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError, ConfigError, ManifestError
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.models.ecg_hubert import ECGHuBERTConfig, ECGHuBERTModel
from fairseq_signals.store.shards import StoreRow, write_shard

N = 320


def write_manifest(folder: Path, signals: np.ndarray) -> Path:
    """A store of records (R, 12, 320) in ADC units, and a manifest of them."""
    rows = [
        StoreRow(f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), signal) for i, signal in enumerate(signals)
    ]
    write_shard(folder / "shard-00000.arrow", rows)
    lines = [Row(f"shard-00000.arrow#{i}:0", N, f"x/r{i}", f"x/p{i}", 0) for i in range(len(signals))]
    (folder / "train.tsv").write_text("".join(format_manifest(folder, lines)))
    return folder / "train.tsv"


@pytest.fixture(scope="module")
def signals() -> np.ndarray:
    return np.random.default_rng(0).integers(-90, 90, (8, 12, N)).cumsum(axis=2).astype(np.int16)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory, signals) -> Path:
    return write_manifest(tmp_path_factory.mktemp("store"), signals)


def test_two_runs_write_the_same_clusters_of_the_samples(manifest, tmp_path, capsys):
    found = []
    for name in ("a.npz", "b.npz"):
        given = [manifest, "--out", tmp_path / name, "--clusters", 5, "--stride", 32, "--seed", 2]
        assert main([str(each) for each in given]) == 0
        found.append(ClusterFile.read(tmp_path / name))
    out = capsys.readouterr().out
    assert "80 frames, 5 clusters; entropy " in out
    assert f"wrote {tmp_path / 'b.npz'}" in out
    entropy, most = map(float, re.findall(r"entropy ([\d.]+) of at most ([\d.]+) nats", out)[0])
    assert 0 < entropy <= most == pytest.approx(np.log(5), abs=1e-3)
    assert np.array_equal(found[0].centres, found[1].centres)
    assert found[0].centres.shape == (5, 36)
    assert (found[0].stride, found[0].source) == (32, STATISTICS)


def test_no_more_frames_than_asked_for(manifest, tmp_path, capsys):
    main([str(manifest), "--out", str(tmp_path / "c.npz"), "--clusters=3", "--frames=50"])
    assert "50 frames, 3 clusters" in capsys.readouterr().out


def test_a_cluster_that_most_frames_are_in_is_warned_of(signals, tmp_path, capsys):
    flat = np.where(np.arange(N) < 240, signals[:, :, :1], signals)
    path = write_manifest(tmp_path, flat - signals[:, :, :1])
    main([str(path), "--out", str(tmp_path / "c.npz"), "--clusters=3"])
    assert re.search(r"warning: one cluster has \d\d% of all frames", capsys.readouterr().err)


def test_the_next_iteration_is_of_a_models_layer(manifest, tiny, tmp_path, ecg_batch):
    torch.manual_seed(0)
    options = {**tiny, "num_clusters": 4, "final_dim": 8}
    first = ECGHuBERTModel(ECGHuBERTConfig(**options)).eval()
    cfg = {"model": {"_name": "ecg_hubert", **options}, "task": {"data": "x"}}
    torch.save({"model": first.state_dict(), "cfg": cfg}, tmp_path / "first.pt")
    given = [manifest, "--out", tmp_path / "c.npz", "--clusters=4", "--model", tmp_path / "first.pt"]
    assert main([*map(str, given), "--layer=1"]) == 0
    found = ClusterFile.read(tmp_path / "c.npz")
    assert found.centres.shape == (4, 16)
    assert (found.stride, found.source, found.layer) == (16, str(tmp_path / "first.pt"), 1)
    options.update(clusters=str(tmp_path / "c.npz"), model_path=str(tmp_path / "first.pt"))
    second = ECGHuBERTModel(ECGHuBERTConfig(**options)).eval()
    with torch.no_grad():
        frames = first.encoder(ecg_batch(2), layer=1).x
        expected = second.clusters(frames)
        assert torch.equal(second(ecg_batch(2)).labels, expected)
        assert torch.equal(second.encoder(ecg_batch(2)).x, first.encoder(ecg_batch(2)).x)
    assert len(expected.unique()) > 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--clusters=500"], ManifestError, r"500 clusters of 160 frames: ask for fewer"),
        (["--stride=400"], ManifestError, r"100 clusters of 0 frames"),
        (["--model=none.pt"], CheckpointError, r"none\.pt"),
    ],
)
def test_what_cannot_be_clustered_is_refused(manifest, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        main([str(manifest), "--out", str(tmp_path / "c.npz"), *arguments])
    assert not (tmp_path / "c.npz").exists()


def test_a_layer_that_the_model_lacks_is_refused(manifest, tiny, tmp_path):
    model = ECGHuBERTModel(ECGHuBERTConfig(**tiny, num_clusters=4))
    torch.save(
        {"model": model.state_dict(), "cfg": {"model": {**tiny, "num_clusters": 4}}}, tmp_path / "m.pt"
    )
    with pytest.raises(ConfigError, match=r"9"):
        main([str(manifest), "--out", str(tmp_path / "c.npz"), f"--model={tmp_path / 'm.pt'}", "--layer=9"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model=m.pt", "--stride=16"],
            "--stride is of frames of samples, but --model has frames of its",
        ),
        (["--layer=1"], "--layer is one of a model: add --model CHECKPOINT"),
    ],
)
def test_what_would_be_ignored_is_refused(manifest, arguments, message, capsys):
    with pytest.raises(SystemExit):
        main([str(manifest), "--out=c.npz", *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("argument", ["--clusters=1", "--stride=0", "--layer=-1", "--frames=0", "--fs=0"])
def test_numbers_that_make_no_sense_are_refused(manifest, argument, capsys):
    with pytest.raises(SystemExit):
        main([str(manifest), "--out", "c.npz", argument])
    assert f"argument {argument.split('=')[0]}: must be" in capsys.readouterr().err


def test_a_manifest_that_is_not_there_or_empty_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"train\.tsv"):
        main([str(tmp_path / "train.tsv"), "--out", str(tmp_path / "c.npz")])
    (tmp_path / "train.tsv").write_text(f"{tmp_path}\n")
    with pytest.raises(ManifestError, match=r"train\.tsv"):
        main([str(tmp_path / "train.tsv"), "--out", str(tmp_path / "c.npz")])
