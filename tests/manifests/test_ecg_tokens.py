"""`manifests/ecg_tokens.py`: ECGs and texts as tokens that stock fairseq reads."""

import numpy as np
import pytest

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.manifest.texts import read_texts
from fairseq_signals.store.shards import StoreRow, write_shard
from fairseq_signals.store.stored_records import StoredRecords
from fairseq_signals.text.ecg_tokens import ECGTokenizer
from fairseq_signals.text.tokenizer import Tokenizer

N_SAMPLES = 200
REPORTS = ("sinus rhythm", "atrial fibrillation", "atrial flutter; left axis deviation")
KINDS = ("tsv", "ecg-text.ecg", "ecg-text.text")
FILES = {
    *("dict.ecg.txt", "dict.text.txt", "ecg.model", "text.model", "texts.tsv", "tokens.json"),
    *("manifest.json", *(f"{split}.{kind}" for split in ("train", "valid", "test") for kind in KINDS)),
}


def record(i: int, leads: tuple = ("I", "II", "V1")) -> StoreRow:
    """2 s of a wave with noise at 100 Hz, in uV; of each tenth record ten samples are beyond 2.5 mV."""
    rng = np.random.default_rng(i)
    time = np.arange(N_SAMPLES) / 100
    signal = 800 * np.sin(9 * time) ** 9 + rng.normal(0, 30, (len(leads), N_SAMPLES))
    if i % 10 == 0:
        signal[0, :10] = 2600
    return StoreRow(
        f"r{i:02d}", "a", 100.0, leads, np.full(len(leads), 0.001), signal.astype(np.int16),
        patient_id=f"p{i}", report=REPORTS[i % 3],
    )  # fmt: skip


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    rows = [record(i) for i in range(40)] + [record(i, ("V1",)) for i in range(40, 50)]
    write_shard(folder / "shard-00000.arrow", rows)
    return folder


@pytest.fixture
def tokens(store, succeed, tmp_path):
    """`tokens(*options)`: writes them to `tmp_path / "t"`; gives what is printed."""
    succeed("ecg_text", store, "--segment-seconds", 2, "--split", "3:1:1")
    arguments = (tmp_path / "m", "--leads", "II,I,V1", "--vocab-size", 200)
    return lambda *options: succeed(
        "ecg_tokens", *arguments, *options, *(() if "--dest" in options else ("--dest", tmp_path / "t"))
    )


def lines(path):
    return [line.split(" ") for line in path.read_text().splitlines()]


def test_every_line_of_tokens_is_its_record_on_the_grid(tokens, tmp_path, store):
    tokens()
    assert {path.name for path in (tmp_path / "t").iterdir()} == FILES
    tokenizer, records = ECGTokenizer.read(tmp_path / "t"), StoredRecords(store)
    ids = {token: i for i, token in enumerate(tokenizer.tokens)}
    n_tokens = 0
    for split in ("train", "valid", "test"):
        manifest = read_manifest(tmp_path / "t" / f"{split}.tsv")
        written = lines(tmp_path / "t" / f"{split}.ecg-text.ecg")
        for record_id, line in zip(manifest.record_ids, written, strict=True):
            stored = records.read(*records.find(record_id))
            read = tokenizer.decode([ids[token] for token in line])
            assert list(read) == [lead for lead in ("II", "I", "V1") if lead in stored.leads]
            for lead, samples in zip(stored.leads, stored.signal * 0.001):
                assert np.abs(read[lead] - np.clip(samples, -2.5, 2.5)).max() < 0.025 + 1e-9
            n_tokens += len(line)
    assert n_tokens < 0.6 * (40 * 3 + 10) * N_SAMPLES


def test_lines_of_text_are_those_of_the_same_records(tokens, tmp_path):
    tokens()
    table = read_texts(tmp_path / "t" / "texts.tsv")
    tokenizer = Tokenizer((tmp_path / "t" / "text.model").read_bytes())
    for split in ("train", "valid", "test"):
        manifest = read_manifest(tmp_path / "t" / f"{split}.tsv")
        written = lines(tmp_path / "t" / f"{split}.ecg-text.text")
        ids = [[tokenizer.pieces.index(piece) for piece in line] for line in written]
        texts = [tokenizer.decode(line) for line in ids]
        assert texts == [table.texts[int(target)] for target in manifest.targets]
        assert texts == [REPORTS[int(record_id[-2:]) % 3] for record_id in manifest.record_ids]


def test_stock_fairseq_translates_the_folder_as_it_is(tokens, tmp_path):
    from fairseq.tasks.translation import TranslationConfig, TranslationTask

    tokens()
    cfg = TranslationConfig(data=str(tmp_path / "t"), train_subset="train", dataset_impl="raw")
    task = TranslationTask.setup_task(cfg)
    assert (cfg.source_lang, cfg.target_lang) == ("ecg", "text")
    tokenizer = ECGTokenizer.read(tmp_path / "t")
    assert task.source_dictionary.symbols == tokenizer.tokens  # so ids are the same
    assert len(task.target_dictionary) == len(Tokenizer((tmp_path / "t" / "text.model").read_bytes()))
    task.load_dataset("test")
    item = task.dataset("test")[3]
    line = lines(tmp_path / "t" / "test.ecg-text.ecg")[3]
    assert item["source"].tolist() == [*map(tokenizer.tokens.index, line), 2]
    assert task.source_dictionary.unk() not in item["source"].tolist()
    assert item["target"][-1] == 2
    longest = max(map(len, lines(tmp_path / "t" / "test.ecg-text.ecg"))) + 1
    every = np.arange(len(task.dataset("test")))
    assert len(task.filter_indices_by_size(every, task.dataset("test"), (longest, 99))) == len(every)
    with pytest.raises(Exception, match="is invalid"):  # no lead is cut off in silence
        task.filter_indices_by_size(every, task.dataset("test"), (longest - 1, 99))


def test_clipped_samples_are_counted_and_their_share_is_told(tokens, manifest_json):
    out = tokens()
    counts = manifest_json("t")["counts"]
    assert sum(n["samples"] for n in counts.values()) == (40 * 3 + 10) * N_SAMPLES
    assert sum(n["clipped_samples"] for n in counts.values()) == 5 * 10
    assert (
        f"{counts['train']['clipped_samples'] / counts['train']['samples']:.3%} of samples beyond 2.5 mV"
        in out
    )


def test_a_sample_that_is_no_number_is_told_with_its_record_and_lead(
    store, succeed, fails, tmp_path, monkeypatch
):
    succeed("ecg_text", store, "--segment-seconds", 2)
    read = SegmentReader.read

    def broken(reader, index, dtype):
        signal = read(reader, index, dtype)
        if reader.manifest.record_ids[index] == "a/r07":
            signal[LEADS.index("II"), 3] = np.nan
        return signal

    monkeypatch.setattr(SegmentReader, "read", broken)
    error = fails("ecg_tokens", tmp_path / "m", "--dest", tmp_path / "t", "--vocab-size", 200)
    assert "record a/r07: lead II: sample 3 is nan" in error
    assert not (tmp_path / "t").exists()


def test_records_without_the_leads_are_left_out_and_counted(tokens, tmp_path, manifest_json, read):
    out = tokens("--leads", "I")
    listed = {record for manifest in read("t").values() for record in manifest.record_ids}
    assert listed == {f"a/r{i:02d}" for i in range(40)}
    assert sum(n["without_leads"] for n in manifest_json("t")["counts"].values()) == 10
    assert "without leads" in out
    for name, manifest in read("t").items():
        assert len(lines(tmp_path / "t" / f"{name}.ecg-text.text")) == len(manifest)


def test_pieces_are_learnt_from_training_alone_and_the_same_again(tokens, tmp_path, store):
    tokens()
    tokens("--dest", tmp_path / "again")
    for name in FILES - {"manifest.json"}:
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "t" / name).read_bytes(), name
    held_out = {r for s in ("valid", "test") for r in read_manifest(tmp_path / "t" / f"{s}.tsv").record_ids}
    rows = [record(i, ("V1",) if i >= 40 else ("I", "II", "V1")) for i in range(50)]
    for row in rows:
        if f"a/{row.record_id}" in held_out:
            row.signal[:] = 1000
    write_shard(store / "shard-00000.arrow", rows)
    tokens("--dest", tmp_path / "other")
    pieces = [ECGTokenizer.read(tmp_path / name).tokens for name in ("t", "other")]
    assert pieces[0] == pieces[1]


def test_other_manifests_give_tokens_without_texts(store, succeed, tmp_path):
    succeed("pretrain", store, "--no-exclusions", "--segment-seconds", 1, "--dest", tmp_path / "m")
    succeed("ecg_tokens", tmp_path / "m", "--dest", tmp_path / "t", "--vocab-size", 200)
    names = {path.name for path in (tmp_path / "t").iterdir()}
    assert {"train.ecg-text.ecg", "valid.ecg-text.ecg", "dict.ecg.txt"} <= names
    assert not {"train.ecg-text.text", "dict.text.txt", "text.model"} & names
    assert len(lines(tmp_path / "t" / "valid.ecg-text.ecg")) == len(
        read_manifest(tmp_path / "t" / "valid.tsv")
    )


def test_check_finds_a_missing_line(tokens, run, tmp_path):
    tokens()
    assert run("check", tmp_path / "t")[0] == 0
    path = tmp_path / "t" / "test.ecg-text.text"
    written = path.read_text().splitlines(keepends=True)
    path.write_text("".join(written[1:]))
    code, out, err = run("check", tmp_path / "t")
    assert code == 1
    assert f"has {len(written) - 1} lines for the {len(written)} of test.tsv" in out + err


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("--step-mv", 0.3), "the limit must be a multiple of the step"),
        (("--leads", "V6"), "no segment for training that has one of V6"),
        (("--vocab-size", 50), "no tokenizer of 50 pieces"),
    ],
)
def test_what_cannot_be_is_refused(store, succeed, fails, tmp_path, options, fault):
    succeed("ecg_text", store, "--segment-seconds", 2)
    assert fault in fails("ecg_tokens", tmp_path / "m", "--dest", tmp_path / "t", *options)
    assert not (tmp_path / "t").exists()
