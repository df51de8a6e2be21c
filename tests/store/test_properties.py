"""Whatever a header says and a signal file holds: a correct row, or a rejection with a listed reason."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fairseq_signals.ecg.leads import LEADS, LIMB_LEADS
from fairseq_signals.errors import REASONS, UNFORESEEN
from fairseq_signals.formats.options import ReadOptions
from fairseq_signals.formats.wfdb_signals import missing_value
from fairseq_signals.store.conversion import BuildOptions, Item, make_rows
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.shards import ShardNotes, write_shard

#: Spellings and what they mean; None is no lead.
NAMES = {
    **{name: name for name in LEADS},
    **{name.upper(): name for name in LEADS},
    "ECG I": "I", "lead_aVR": "aVR", "MLII": "II", "C1": "V1", "vx": None, "PLETH": None,
    "ECG I filtered": None,
}  # fmt: skip
UNITS = {"mV": 1.0, "uV": 1e-3, "V": 1e3, "\u00b5V": 1e-3, "nV": 1e-6, "mmHg": None, "adu": None, "": 1.0}
BOUND = {"16": 2**15, "61": 2**15, "80": 2**7, "212": 2**11}


@dataclass
class Signal:
    """One signal line and its samples."""

    name: str
    gain: str
    baseline: "int | None"
    adc_zero: int
    units: str
    adu: np.ndarray

    def line(self, fmt: str) -> str:
        gain = self.gain + (f"({self.baseline})" if self.baseline is not None else "")
        gain += f"/{self.units}" if self.units else ""
        return f"r.dat {fmt} {gain} 16 {self.adc_zero} 0 0 0 {self.name}"

    def millivolt(self) -> np.ndarray:
        zero = self.adc_zero if self.baseline is None else self.baseline
        with np.errstate(over="ignore"):  # an impossible gain
            return (self.adu.astype(np.float64) - zero) / float(self.gain) * UNITS[self.units]


@dataclass
class Raw:
    """A record as files: its header line by line, and how long its signal file is."""

    fmt: str
    fs: float
    says_length: bool
    lost_bytes: int
    signals: "list[Signal]"

    def write(self, folder) -> Item:
        n = self.signals[0].adu.size
        adu = np.stack([s.adu for s in self.signals], axis=1).reshape(-1)
        data = encode(adu, self.fmt)
        (folder / "r.dat").write_bytes(data[: max(0, len(data) - self.lost_bytes)])
        record_line = f"r {len(self.signals)} {self.fs!r}" + (f" {n}" if self.says_length else "")
        lines = [record_line, *(s.line(self.fmt) for s in self.signals)]
        (folder / "r.hea").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return Item("corpus", "r", str(folder / "r.hea"))


def encode(adu: np.ndarray, fmt: str) -> bytes:
    """Samples as signal(5) says, one after the other."""
    if fmt == "212":
        data = bytearray()
        for i in range(0, len(adu), 2):
            a, b = int(adu[i]) & 0xFFF, int(adu[i + 1]) & 0xFFF if i + 1 < len(adu) else 0
            data += bytes([a & 0xFF, a >> 8 | b >> 8 << 4, b & 0xFF])
        return bytes(data[: math.ceil(1.5 * len(adu))])
    return {
        "16": lambda: adu.astype("<i2").tobytes(),
        "61": lambda: adu.astype(">i2").tobytes(),
        "80": lambda: (adu + 128).astype(np.uint8).tobytes(),
    }[fmt]()


@st.composite
def gains(draw) -> str:
    usual = st.sampled_from(["1000", "200", "4880", "0.5", "-200"])
    any_float = st.floats(allow_nan=False, allow_infinity=False).map(repr)
    return draw(
        st.one_of(usual, usual, any_float, st.sampled_from(["0", "-0.0", "nan", "inf", "1e-320", "1e308"]))
    )


@st.composite
def raw_records(draw) -> Raw:
    fmt = draw(st.sampled_from(["16", "16", "16", "61", "80", "212"]))
    n_samples = draw(st.integers(1, 40))
    low, high = -BOUND[fmt] + draw(st.sampled_from([0, 1])), BOUND[fmt] - 1
    sample = st.one_of(st.integers(low, high), st.integers(-3, 3))
    signals = []
    for name in draw(st.lists(st.sampled_from(sorted(NAMES)), min_size=1, max_size=14)):
        values = draw(st.lists(sample, min_size=1, max_size=n_samples))
        adu = np.resize(np.array(values, dtype=np.int64), n_samples)
        signals.append(
            Signal(
                name,
                draw(gains()),
                draw(
                    st.one_of(st.none(), st.just(0), st.integers(-(2**31), 2**31), st.integers(-40000, 40000))
                ),
                draw(st.one_of(st.just(0), st.integers(-(2**15), 2**15))),
                draw(st.sampled_from(sorted(UNITS))),
                adu,
            )
        )
    fs = draw(st.one_of(st.sampled_from([500.0, 100.0, 257.0]), st.floats(1e-3, 1e6)))
    return Raw(fmt, fs, draw(st.booleans()), draw(st.sampled_from([0, 0, 0, 1, 50])), signals)


def expectation(raw: Raw):
    """Reasons that would each be right, and millivolt by lead, computed without the package's readers.

    Leads whose gain is at the bounds of what is possible are not in it, but in `doubtful`.
    """
    reasons, leads, doubtful = set(), {}, set()
    named = dict(NAMES)
    if not any(NAMES[signal.name] in LIMB_LEADS for signal in raw.signals):
        named["C1"] = None  # may be of an EEG
    size = len(encode(np.zeros(raw.signals[0].adu.size * len(raw.signals), np.int64), raw.fmt))
    per_byte = {"16": 1 / 2, "61": 1 / 2, "80": 1, "212": 2 / 3}[raw.fmt]
    held = int(max(0, size - raw.lost_bytes) * per_byte + 1e-9) // len(raw.signals)
    n_samples = raw.signals[0].adu.size if raw.says_length else held
    if held < n_samples or n_samples == 0:
        reasons.add("truncated")
    first = {}
    for signal in raw.signals:
        first.setdefault(named[signal.name], signal)
    first.pop(None, None)
    if not first:
        reasons.add("without any of the 12 leads")
    for lead, signal in first.items():
        gain = float(signal.gain)
        if UNITS[signal.units] is None:
            continue
        with np.errstate(over="ignore"):
            unusable = gain == 0 or not math.isfinite(gain) or not np.isfinite(1 / np.float64(gain))
        if unusable:
            continue
        if not 1e-19 < abs(UNITS[signal.units] / gain) < 1e4:
            doubtful.add(lead)
            continue
        adu = signal.adu[:n_samples]
        if adu.size and not (adu == missing_value(raw.fmt)).any() and adu.min() != adu.max():
            leads[lead] = signal.millivolt()[:n_samples]
    if first and not leads:
        reasons |= {"without a usable lead", "with zero gain", "with an impossible gain"}
    if not 50 <= raw.fs <= 20000:
        reasons.add("with an unexpected sampling rate")
    return reasons, leads, doubtful


def one_row(item: Item, options: BuildOptions):
    """The row of a record or None, and the notes on it."""
    notes = ShardNotes()
    rows = list(make_rows([item], options, notes))
    assert len(rows) + len(notes.rejected) == 1
    for rejection in notes.rejected:
        assert rejection.kind in REASONS
        assert rejection.kind != UNFORESEEN, rejection.reason
        assert rejection.reason
    return (rows[0] if rows else None), notes


quick = settings(suppress_health_check=list(HealthCheck), max_examples=100, deadline=None)


@quick
@given(raw=raw_records())
def test_a_record_becomes_a_correct_row_or_is_rejected_for_a_reason_that_holds(tmp_path, raw):
    item = raw.write(tmp_path)
    row, notes = one_row(item, BuildOptions(raw.fs, min_seconds=1e-9, reading=ReadOptions(gaps="refuse")))
    reasons, leads, doubtful = expectation(raw)
    if row is None:
        assert notes.rejected[0].kind in reasons, notes.rejected[0].reason
        return
    assert doubtful or not reasons
    assert {*row.leads} - doubtful == leads.keys()
    offsets = np.zeros(len(row.leads)) if row.offset is None else row.offset
    for lead, stored, scale, offset in zip(row.leads, row.signal, row.scale, offsets):
        if lead in doubtful:
            continue
        error = np.abs(stored * scale + offset - leads[lead])
        assert (error <= abs(scale) / 2 * (1 + 1e-9) + 1e-12 * np.abs(leads[lead])).all()
    write_shard(tmp_path / "shard-00000.arrow", [row], notes)
    signal, present = RecordStore(tmp_path).read("shard-00000.arrow", 0)
    assert [lead for lead, there in zip(LEADS, present) if there] == list(row.leads)
    assert np.isfinite(signal).all()


@quick
@given(raw=raw_records(), fs=st.sampled_from([50.0, 250.0, 500.0, 1000.0]))
@example(raw=Raw("16", 19999.5, True, 0, [Signal("I", "1", 0, 0, "mV", np.array([-5, 5]))]), fs=50.0)
def test_at_any_sampling_rate_there_is_a_row_or_a_reason(tmp_path, raw, fs):
    row, _ = one_row(raw.write(tmp_path), BuildOptions(fs=fs, min_seconds=1e-9))
    if row is not None:
        assert row.fs == fs
        assert np.isfinite(row.scale).all()
        expected = raw.signals[0].adu.size * fs / raw.fs
        assert row.signal.shape[1] <= math.ceil(expected * (1 + 1e-3)) + 1


@quick
@given(raw=raw_records(), data=st.data())
def test_a_header_that_is_not_one_is_rejected_not_stumbled_over(tmp_path, raw, data):
    item = raw.write(tmp_path)
    text = (tmp_path / "r.hea").read_bytes()
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(begin, min(len(text), begin + 12)))
        new = data.draw(
            st.one_of(st.binary(max_size=6), st.sampled_from([b" ", b"\n", b"9", b"-", b"/", b"24"]))
        )
        text = text[:begin] + new + text[end:]
    (tmp_path / "r.hea").write_bytes(text)
    one_row(item, BuildOptions(min_seconds=1e-9))


@pytest.mark.parametrize("fmt", ["8", "24", "32", "160", "310", "311", "508", "516", "524", "0", "7", "999"])
@settings(suppress_health_check=list(HealthCheck), max_examples=10, deadline=None)
@given(raw=raw_records(), data=st.binary(max_size=300))
def test_formats_that_the_library_reads_give_a_row_or_a_reason_too(tmp_path, fmt, raw, data):
    item = raw.write(tmp_path)
    header = (tmp_path / "r.hea").read_text(encoding="utf-8")
    (tmp_path / "r.hea").write_text(header.replace(f"r.dat {raw.fmt} ", f"r.dat {fmt} "), encoding="utf-8")
    (tmp_path / "r.dat").write_bytes(data)
    one_row(item, BuildOptions(fs=raw.fs, min_seconds=1e-9))
