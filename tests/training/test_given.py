"""Arrays reach the encoder as they are, within 16 bits; what is no recording is refused by its place."""

import numpy as np
import pytest

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.ecg.resample import resample
from fairseq_signals.errors import LeadError, SignalError, SignalWarning
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.store.conversion import BuildOptions
from fairseq_signals.store.of_rows import is_complete, write_store
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.training.given import GivenArrays
from fairseq_signals.training.targets import Targets


def arrays(*lengths, n_leads=12):
    rng = np.random.default_rng(0)
    return [rng.normal(0, 0.3, (n_leads, n)).cumsum(axis=1) * 0.05 for n in lengths]


def given(x, fs=500, leads=None, codes=(), patients=None):
    return GivenArrays(x, fs, leads, Targets("classification", ("AF",), codes), patients or [None] * len(x))


def read(store, tmp_path, n_samples, fs=500):
    """The first samples of each record as a training reads them, (N, 12, n_samples) float32."""
    places = store.metadata(("shard", "row", "record_id")).to_pylist()
    rows = [Row(f"{p['shard']}#{p['row']}:0", n_samples, f"arrays/{p['record_id']}", "p", 0) for p in places]
    path = tmp_path / "train.tsv"
    path.write_text("".join(format_manifest(store.root, rows)))
    reader = SegmentReader(read_manifest(path), fs)
    return [reader.read(i) for i in range(len(reader))]


def test_what_a_training_reads_is_what_was_given_within_sixteen_bits(tmp_path):
    x = arrays(2500, 3000, 5000)
    x[1][3] = 0  # no aVR
    write_store(given(x).rows(BuildOptions()), tmp_path / "store", BuildOptions(records_per_shard=2))
    store = RecordStore(tmp_path / "store")
    assert (len(store), len(store.shards), store.resampler) == (3, 2, "polyphase")
    for segment, signal in zip(read(store, tmp_path, 2500), x):
        step = np.abs(signal).max(axis=1, keepdims=True) / 32767
        assert (np.abs(segment - signal[:, :2500]) <= step * 0.505).all()
    assert store.metadata()["leads"].to_pylist()[1] == [lead for lead in LEADS if lead != "aVR"]


def test_leads_are_found_by_name_and_rates_are_those_of_the_model(tmp_path):
    (signal,) = arrays(1000, n_leads=2)
    options = BuildOptions(500.0, resampler="linear")
    write_store(given([signal], 250, "V2,-aVR").rows(options), tmp_path / "store", options)
    (segment,) = read(RecordStore(tmp_path / "store"), tmp_path, 2000)
    expected = resample(signal, 250, 500, "linear")
    np.testing.assert_allclose(segment[[7, 3]], expected * [[1], [-1]], atol=np.abs(expected).max() / 32767)
    assert not np.delete(segment, [7, 3], axis=0).any()


def test_classes_and_patients_are_stored_and_a_store_is_replaced_as_a_whole(tmp_path):
    options = BuildOptions(records_per_shard=1)
    write_store(given(arrays(900, 900, 900)).rows(options), tmp_path / "store", options)
    rows = given(arrays(900, 900), codes=[("AF",), ()], patients=["p", None]).rows(options)
    write_store(rows, tmp_path / "store", options)
    told = RecordStore(tmp_path / "store").metadata(("record_id", "codes", "patient_id")).to_pylist()
    assert [tuple(row.values()) for row in told] == [("0", ["AF"], "p"), ("1", [], None)]
    assert is_complete(tmp_path / "store")


def test_a_digest_is_of_the_samples_and_all_that_is_known_of_them():
    x = arrays(2500, 2500)
    other = [x[0], x[1] + 1e-12]
    digests = {
        given(x).check(5, 1),
        given(other).check(5, 1),
        given(x, fs=499).check(5, 1),
        given(x, codes=[("AF",), ()]).check(5, 1),
        given(x, patients=["p", None]).check(5, 1),
    }
    assert len(digests) == 5
    assert given([one.copy() for one in x]).check(5, 1) in digests


@pytest.mark.parametrize(
    ("x", "leads", "error", "message"),
    [
        ([], None, SignalError, "x has no recording"),
        (np.zeros((2, 12, 2500)), None, SignalError, "record 0 is flat"),
        ([*arrays(2500), np.full((12, 2500), np.nan)], None, SignalError, "record 1: .*not finite"),
        ([*arrays(2500), np.zeros((2500, 12))], None, LeadError, "record 1: .*transpose"),
        (arrays(2500, n_leads=3), "I,II", LeadError, r"shape \(3, 2500\), but 2 leads are named"),
        (arrays(2400, 1000), None, SignalError, "2 of 2 recordings are shorter than 1 x 5 s"),
    ],
)
def test_what_is_no_recording_is_refused_by_its_place(x, leads, error, message):
    with pytest.raises(error, match=message):
        given(x, leads=leads).check(5, 1)


def test_what_is_odd_is_warned_of_once():
    x = arrays(2500, 2500, 1000)
    x[0][2] = x[1][5] = 3.0
    with pytest.warns(SignalWarning) as told:
        given(x).check(5, 1)
    assert [str(one.message).partition(":")[0] for one in told] == [
        "2 recordings",
        "1 of 3 recordings are shorter than 1 x 5 s",
    ]
