"""Every real recording at hand is read as the wfdb library reads it, or refused with a reason."""

import re
from pathlib import Path

import numpy as np
import pytest
import wfdb

from fairseq_signals.ecg.leads import LEADS, leads_of
from fairseq_signals.errors import SignalError
from fairseq_signals.formats.folder import iter_records
from fairseq_signals.formats.wfdb import read_wfdb
from fairseq_signals.formats.wfdb_header import read_header
from fairseq_signals.formats.wfdb_signals import is_direct

pytestmark = pytest.mark.shared

MAX_COMPARED = 100  # in each source: the wfdb library reads some 200 records a second


@pytest.fixture(scope="module")
def sources(shared_dir: Path) -> "dict[str, list[Path]]":
    """The headers of each source."""
    root = shared_dir / "real_ecg"
    found = {}
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        headers = [record.path for record in iter_records(folder) if not record.rejected]
        if headers:
            found[folder.name] = headers
    if not found:
        pytest.skip(f"no WFDB record below {root}")
    return found


def reference_mv(header_path: Path) -> "dict[str, np.ndarray]":
    """Physical values of the first signal of each lead, by the wfdb library."""
    record = wfdb.rdrecord(str(header_path)[: -len(".hea")], smooth_frames=False)
    leads: dict[str, np.ndarray] = {}
    for lead, values in zip(leads_of(record.sig_name), record.e_p_signal):
        leads.setdefault(lead and lead.lead, values)
    leads.pop(None, None)
    if len({len(values) for values in leads.values()}) == 1:  # what all lack at the beginning is cut off
        there = np.flatnonzero(~np.logical_and.reduce([np.isnan(values) for values in leads.values()]))
        leads = {lead: values[there[0] :] for lead, values in leads.items() if len(there)} or leads
    return leads


def read_or_error(path: Path):
    """The record and None, or None and why it is refused."""
    try:
        return read_wfdb(path), None
    except SignalError as error:
        return None, error


def is_early_challenge(header_path: Path) -> bool:
    """Whether the record line names the signal file, which the library refuses."""
    return re.search(r"\.mat \d", header_path.read_text(errors="replace").partition("\n")[0]) is not None


def test_every_record_equals_wfdb_or_is_refused_with_a_reason(sources):
    n_read = 0
    for headers in sources.values():
        compared = headers[:: -(-len(headers) // MAX_COMPARED)]
        for path in headers:
            record, error = read_or_error(path)
            if error is not None:
                assert path.stem in str(error), f"{path}: the message does not name the record: {error}"
                assert error.kind
                continue
            n_read += 1
            assert list(record.leads) == [lead for lead in LEADS if lead in record.leads]
            if path not in compared or is_early_challenge(path):
                continue
            expected = reference_mv(path)
            for lead, values, scale in zip(record.leads, record.signal_mv(), record.scale):
                if len(expected[lead]) < len(values):
                    continue  # fewer samples a frame than other leads: interpolated
                in_file = expected[lead][: len(values)] * record.amplitude_factor
                error_mv = np.nanmax(np.abs(values - in_file))  # gaps are interpolated
                assert error_mv <= abs(scale) / 2, f"{path}: lead {lead} differs by {error_mv} mV"
    assert n_read > 0


def test_early_challenge_headers_are_read_as_matlab_reads_them(sources):
    import scipy.io

    n_read = 0
    for headers in sources.values():
        for path in headers:
            mat = path.with_suffix(".mat")
            if not mat.is_file() or not is_direct(read_header(path)):
                continue
            record = read_wfdb(path)
            if record.faults or len(record.leads) != 12 or any(s.baseline for s in read_header(path).signals):
                continue
            np.testing.assert_array_equal(record.signal, scipy.io.loadmat(mat)["val"])
            n_read += 1
    if not n_read:
        pytest.skip("no .mat record at hand")


def test_limb_leads_of_real_records_obey_einthoven(sources):
    residuals = []
    for headers in sources.values():
        for path in headers[:20]:
            try:
                record = read_wfdb(path)
            except SignalError:
                continue
            if record.leads[:3] == ("I", "II", "III"):
                i, ii, iii = record.signal_mv()[:3]
                residuals.append(np.abs(ii - i - iii).max() / np.abs(ii).max())
    if not residuals:
        pytest.skip("no record with leads I, II and III at hand")
    assert np.median(residuals) < 0.05
