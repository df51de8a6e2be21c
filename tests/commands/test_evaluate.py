"""`fairseq-signals evaluate` from store, manifests and checkpoint to table and files."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
import torch

from fairseq_signals.checkpoints.loading import load_model
from fairseq_signals.commands.evaluate import main
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import CheckpointError, ConfigError, LeadError, SignalError
from fairseq_signals.evaluation.predict import InputFormat, predict
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import ECGClassifier, ECGIdentifier
from fairseq_signals.store.shards import StoreRow, write_shard

N_RECORDS, T = 6, 250
SMALL = {
    "encoder_layers": 1,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 16,
    "encoder_attention_heads": 2,
    "conv_feature_layers": "[(8, 2, 2)] * 4",
    "conv_pos": 4,
    "conv_pos_groups": 2,
}
LABELS = "index,name,abbreviation,codes\n0,atrial fibrillation,AF,1\n1,sinus rhythm,NSR,426783006\n"
WEIGHTS = ",1,426783006\n1,1.0,0.2\n426783006,0.2,1.0\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Six records of 500 samples in one shard; the last has four samples more."""
    folder = tmp_path_factory.mktemp("store")
    rng = np.random.default_rng(0)
    rows = [
        StoreRow(
            f"r{i}", "x", 500.0, LEADS, np.full(12, 0.01), rng.integers(-99, 99, (12, 2 * T + 4)).astype("i2")
        )
        for i in range(N_RECORDS)
    ]
    write_shard(folder / "shard-00000.arrow", rows)
    return folder


def segments(records, n_samples=T, target=lambda i: ""):
    return [
        Row(f"shard-00000.arrow#{i}:{T * k}", n_samples, f"x/r{i}", f"x/p{i % 3}", k, target(i))
        for i in records
        for k in (0, 1)
    ]


@pytest.fixture(scope="module")
def manifests(store, tmp_path_factory):
    """Manifests of both tasks, in `classification` and `identification`."""
    root = tmp_path_factory.mktemp("manifests")
    for task in ("classification", "identification"):
        (root / task).mkdir()
    rows = segments(range(N_RECORDS), target=lambda i: ("0", "1", "0,1")[i % 3])
    (root / "classification" / "test.tsv").write_text("".join(format_manifest(store, rows)))
    (root / "classification" / "labels.csv").write_text(LABELS)
    (root / "classification" / "weights.csv").write_text(WEIGHTS)
    (root / "identification" / "test_gallery.tsv").write_text(
        "".join(format_manifest(store, segments((0, 1, 2))))
    )
    (root / "identification" / "test_probe.tsv").write_text(
        "".join(format_manifest(store, segments((3, 4, 5))))
    )
    return root


def save_checkpoint(path, head, task=None, **options):
    torch.manual_seed(0)
    options = {**SMALL, **options}
    model = head(ECGEncoder(EncoderConfig(**options)), 2)
    torch.save({"model": model.state_dict(), "cfg": {"model": options, "task": task or {}}}, path)
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("c") / "classifier.pt", ECGClassifier)


@pytest.fixture(scope="module")
def identifier(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("i") / "identifier.pt", ECGIdentifier)


class PeakModel(torch.nn.Module):
    """Gives the largest value of each lead on its input's lead axis."""

    def forward(self, source, padding_mask=None, lead_present=None):
        assert padding_mask is None
        return source.amax(dim=2)


def peaks(manifest, **options):
    return predict(
        PeakModel(), manifest, **{"lead_sets": {"12": tuple(range(12))}, "batch_size": 4, **options}
    )


# --- predictions -----------------------------------------------------------------------------------------


def test_leads_outside_a_set_are_zeros_and_the_others_are_untouched(manifests):
    manifest = read_manifest(manifests / "classification" / "test.tsv")
    whole, limb = peaks(manifest, lead_sets={"12": tuple(range(12)), "I+V2": (0, 7)})
    np.testing.assert_array_equal(limb[:, [0, 7]], whole[:, [0, 7]])
    assert np.count_nonzero(limb) == 2 * len(manifest)
    assert (whole > 0).all()


def test_outputs_are_in_manifest_order_whatever_the_batches_and_lengths(store, tmp_path):
    rows = segments((0, 1, 2))
    rows[1] = rows[1]._replace(n_samples=T + 4)
    rows[4] = rows[4]._replace(n_samples=100)
    (tmp_path / "m.tsv").write_text("".join(format_manifest(store, rows)))
    manifest = read_manifest(tmp_path / "m.tsv")
    expected = np.concatenate([peaks_of_one(store, tmp_path, row) for row in rows])
    for batch_size in (1, 2, 100):
        np.testing.assert_array_equal(peaks(manifest, batch_size=batch_size)[0], expected)


def peaks_of_one(store, folder, row):
    (folder / "one.tsv").write_text("".join(format_manifest(store, [row])))
    return peaks(read_manifest(folder / "one.tsv"))[0]


def test_input_is_normalised_and_cut_as_in_training(manifests):
    manifest = read_manifest(manifests / "classification" / "test.tsv")
    scaled = peaks(manifest, form=InputFormat(normalize=True))[0]
    assert ((scaled > 1.4) & (scaled < 2.2)).all()  # uniform noise peaks at sqrt(3) standard deviations
    cut = peaks(manifest, form=InputFormat(max_samples=10))[0]
    assert (cut <= peaks(manifest)[0]).all()
    assert (cut < peaks(manifest)[0]).any()


def test_a_model_of_fewer_leads_gets_those_leads_in_their_order(manifests):
    manifest = read_manifest(manifests / "classification" / "test.tsv")
    two = peaks(manifest, lead_sets={"2": (0, 1)}, form=InputFormat(leads=(1, 0)))[0]
    np.testing.assert_array_equal(two, peaks(manifest)[0][:, [1, 0]])
    with pytest.raises(LeadError, match="lead set 3 has V2, but the model takes only II, I"):
        peaks(manifest, lead_sets={"3": (0, 1, 7)}, form=InputFormat(leads=(1, 0)))


def test_output_that_is_not_finite_is_an_error_with_the_record(manifests):
    class Overflow(PeakModel):
        def forward(self, source, padding_mask=None, lead_present=None):
            return super().forward(source) / 0.0

    manifest = read_manifest(manifests / "classification" / "test.tsv")
    with pytest.raises(CheckpointError, match="not finite for 12 of 12 segments, the first of record x/r0"):
        predict(Overflow(), manifest, {"12": tuple(range(12))}, 4)


# --- the command -----------------------------------------------------------------------------------------


def test_classifier_end_to_end(manifests, classifier, tmp_path, capsys):
    files = tmp_path / "r.json", tmp_path / "p.csv"
    argv = [str(classifier), "--manifest", str(manifests / "classification"), "--leads", "12,1"]
    argv += ["--by", "sex", "--predictions", str(files[1])]
    assert main([*argv, "--json", str(files[0]), "--batch-size", "5"]) == 0
    shown = capsys.readouterr().out
    assert "classifier: classification of 6 records" in shown
    assert "CinC score" in shown
    assert "mean" in shown
    assert "3 patients, 1,000 resamples, seed 2021" in shown
    *rows, score, grouped = json.loads(files[0].read_text())[:8]
    assert (grouped["group"], grouped["low"] <= rows[1]["value"] <= grouped["high"]) == ("sex=unknown", True)
    assert (score["metric"], score["low"]) == ("cinc_score", None)
    assert [(r["leads"], r["metric"]) for r in rows] == [
        (leads, metric) for leads in ("12", "1") for metric in ("cinc_score", "macro_auroc", "macro_auprc")
    ]
    assert {(r["method"], r["task"], r["n"]) for r in rows} == {("classifier", "classification", 6)}
    lines = list(csv.DictReader(files[1].read_text().splitlines()))
    assert len(lines) == 2 * N_RECORDS
    model, _ = load_model(classifier)
    manifest = read_manifest(manifests / "classification" / "test.tsv")
    logits = predict(model, manifest, {"12": tuple(range(12))}, 100)[0]
    expected = (1 / (1 + np.exp(-logits.astype(float)))).reshape(N_RECORDS, 2, 2).mean(axis=1)
    found = [[float(line["probability_AF"]), float(line["probability_NSR"])] for line in lines[:N_RECORDS]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert [line["label_AF"] for line in lines[:3]] == ["1", "0", "1"]


def test_identification_end_to_end_appends_to_the_results(manifests, identifier, tmp_path, capsys):
    results = tmp_path / "r.json"
    argv = [str(identifier), "--manifest", str(manifests / "identification"), "--json", str(results)]
    for seed in (1, 2):
        assert main([*argv, "--append", "--method", "w2v", "--seed", str(seed)]) == 0
    rows = json.loads(results.read_text())
    assert len(rows) == 2 * 5 * 2
    assert {r["seed"] for r in rows} == {1, 2}
    assert [r["leads"] for r in rows[:10:2]] == ["12", "6", "3", "2", "1"]
    assert {(r["metric"], r["value"]) for r in rows if r["metric"] == "chance"} == {("chance", 1 / 3)}
    assert "identification of 3 probe records" in capsys.readouterr().out


def test_undefined_metrics_are_null_with_a_warning(manifests, store, classifier, tmp_path, capsys):
    (tmp_path / "test.tsv").write_text(
        "".join(format_manifest(store, segments((0, 1), target=lambda i: "0")))
    )
    main([str(classifier), "--manifest", str(tmp_path), "--leads", "12", "--json", str(tmp_path / "r.json")])
    assert {r["value"] for r in json.loads((tmp_path / "r.json").read_text())} == {None}
    assert "macro_auroc (12 leads)" in capsys.readouterr().err


def test_segments_of_the_authors_preprocessing_are_read(classifier, tmp_path, capsys):
    rng = np.random.default_rng(1)
    names = [f"A{i}_{k}.mat" for i in range(4) for k in (0, 1)]
    for name in names:
        label = np.array([[int(name[1]) % 2, 1]])
        content = {"feats": rng.normal(size=(12, T)), "curr_sample_rate": 500, "label": label}
        scipy.io.savemat(tmp_path / name, content)
    (tmp_path / "test.tsv").write_text(f"{tmp_path}\n" + "".join(f"{name}\t{T}\n" for name in names))
    assert main([str(classifier), "--manifest", str(tmp_path), "--leads", "12"]) == 0
    out = capsys.readouterr().out
    assert "classification of 4 records" in out
    assert "patients are not known for 4 of 4 records" in out


@pytest.mark.parametrize("task", ["classification", "identification"])
def test_records_without_a_patient_are_told(task, manifests, store, classifier, identifier, tmp_path, capsys):
    """In the numbers of the results file, and to who reads the table."""
    for path in (manifests / task).glob("*.tsv"):
        rows = [r._replace(patient_id=f"x/record/r{r.record_id[-1]}") for r in read_manifest(path).rows()]
        (tmp_path / path.name).write_text("".join(format_manifest(store, rows)))
    argv = [str(classifier if task == "classification" else identifier), "--leads", "12"]
    for folder in (manifests / task, tmp_path):
        assert main([*argv, "--manifest", str(folder), "--json", str(tmp_path / "r.json")]) == 0
        found = {r.get("records_without_patient") for r in json.loads((tmp_path / "r.json").read_text())}
        note = "note: patients are not known for 6 of 6 records: each counts as its own\n"
        said = note in capsys.readouterr().out
        assert (found, said) == (({None}, False) if folder != tmp_path else ({6}, True))


def test_a_segment_file_shorter_than_its_manifest_says_is_refused(classifier, tmp_path):
    scipy.io.savemat(tmp_path / "A0_0.mat", {"feats": np.ones((12, T)), "label": [[0, 1]]})
    (tmp_path / "test.tsv").write_text(f"{tmp_path}\nA0_0.mat\t{T + 1}\n")
    with pytest.raises(SignalError, match=rf"A0_0\.mat: has {T} samples, but .*test\.tsv says {T + 1}"):
        main([str(classifier), "--manifest", str(tmp_path), "--leads", "12"])


def test_a_checkpoint_says_how_its_input_was_made(manifests, tmp_path):
    task = {"leads_to_load": "I,II", "max_sample_size": 200}
    checkpoint = save_checkpoint(tmp_path / "two.pt", ECGClassifier, task, in_d=2)
    argv = [str(checkpoint), "--manifest", str(manifests / "classification")]
    assert main([*argv, "--leads", "2,1"]) == 0
    with pytest.raises(LeadError, match="takes only I, II"):
        main([*argv, "--leads", "12"])


def test_a_model_whose_leads_are_unknown_is_refused(manifests, tmp_path):
    checkpoint = save_checkpoint(tmp_path / "two.pt", ECGClassifier, in_d=2)
    with pytest.raises(CheckpointError, match=r"takes 2 leads, but task\.leads_to_load names 12"):
        main([str(checkpoint), "--manifest", str(manifests / "classification")])


def test_a_device_that_cannot_be_used_is_refused(manifests, classifier):
    with pytest.raises(ConfigError, match="--device nonsense"):
        main([str(classifier), "--manifest", str(manifests / "classification"), "--device", "nonsense"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--append"], "--append needs --json"),
        (["--batch-size", "0"], "must be an integer from 1"),
        (["--threshold", "2"], "must be a number from 0 to 1, but is '2'"),
        (["--per", "patient"], "invalid choice"),
    ],
)
def test_mistakes_in_the_call_exit_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["model.pt", "--manifest", "folder", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_fairseq_is_not_needed(manifests, classifier):
    code = (
        "import sys; sys.modules['fairseq'] = None\n"  # importing fairseq now fails
        "from fairseq_signals.commands.main import main\n"
        f"sys.exit(main(['evaluate', {str(classifier)!r}, '--manifest', "
        f"{str(manifests / 'classification')!r}, '--leads', '1']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "macro AUROC" in done.stdout
