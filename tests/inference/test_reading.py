"""`read_recording` and `read_recordings`: files of any format as objects that say what is in them."""

import numpy as np
import pytest

import fairseq_signals
from fairseq_signals import StoreRecord, read_recording, read_recordings
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError, LeadError, SignalError, SignalWarning
from fairseq_signals.formats.wfdb import read_wfdb
from fairseq_signals.inference.listing import list_recordings
from fairseq_signals.inference.recording import from_record
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.store.building import build_store
from fairseq_signals.store.conversion import BuildOptions, iter_folder


@pytest.fixture
def one_of_each(mixed, tmp_path, lookalike):
    """A folder with every format, and one of files with many records each."""
    return mixed, lookalike("code15").make(tmp_path)


def test_a_file_of_each_format_is_read_as_preprocessing_stores_it(one_of_each, assert_as_stored):
    listed = list_recordings(map(str, one_of_each))
    assert len(listed) >= 14
    for _, source, *_ in listed:
        assert_as_stored(read_recording(source), source)


def test_a_stored_record_tells_what_its_file_does(tmp_path, write_wfdb, ecg_adu):
    comments = ["Age: 60", "Sex: F", "Dx: 1,2", "Patient ID: p7", "device: x"]
    write_wfdb(tmp_path / "raw", "a", ecg_adu(2), ["II", "V1"], comments=comments)
    build_store(iter_folder(tmp_path / "raw", "s"), tmp_path / "store", BuildOptions(min_seconds=0.1), 1)
    file = read_recording(tmp_path / "raw" / "a")
    assert (file.leads, file.fs, file.subject.age, file.subject.patient_id) == (("II", "V1"), 500, 60, "p7")
    for source in (f"{tmp_path / 'store'}#a", StoreRecord(tmp_path / "store", "s/a")):
        stored = read_recording(source)
        assert (stored.leads, stored.fs, stored.subject) == (file.leads, file.fs, file.subject)
        np.testing.assert_array_equal(stored.signal_mv, file.signal_mv)


def test_notes_say_what_was_computed_rounded_and_kept(tmp_path, write_wfdb, ecg_adu, lookalike):
    adu = ecg_adu(12, 3000)
    eight = read_recording(lookalike("muse_xml").write_eight(tmp_path / "e.xml", adu[:8]))
    assert eight.notes[-1:] == ("III, aVR, aVL, aVF: not in the file, computed from I and II",)
    full = np.tile(np.linspace(-32767, 32767, 3000), (12, 1)).astype(np.int16)
    wide = write_wfdb(tmp_path, "wide", full, baseline=-30000)
    assert "do not fit 16 bits" in from_record(read_wfdb(wide)).notes[0]
    assert not read_recording(wide).notes
    header = write_wfdb(tmp_path, "sum", adu)
    header.write_text(header.read_text().replace("16 0 0 0 0 I\n", "16 0 0 12345 0 I\n"))
    damaged = read_recording(header)
    assert [note.lead for note in damaged.damaged] == ["I"]
    assert damaged.notes[0].startswith("I: kept, but its samples add up to ")


def test_leads_that_are_left_out_and_other_channels_are_told_and_leads_can_be_chosen(
    tmp_path, write_wfdb, ecg_adu, recwarn
):
    adu = ecg_adu(4, 3000)
    adu[1] = 7
    path = write_wfdb(tmp_path, "a", adu, ["I", "II", "V1", "RESP"])
    recording = read_recording(path)
    assert (recording.leads, recording.record_id) == (("I", "V1"), "a")
    assert [tuple(note) for note in recording.faults] == [("II", "constant at 0.007 mV")]
    assert [note.lead for note in recording.ignored] == ["RESP"]
    chosen = read_recording(path, leads=["V1"])
    assert chosen.leads == ("V1",)
    np.testing.assert_array_equal(chosen.signal_mv, adu[[2]] * 0.001)
    with pytest.raises(LeadError, match="none of which is among the leads asked for: V6"):
        read_recording(path, leads=["V6"])
    assert not recwarn.list


def test_a_model_takes_what_was_read_as_it_takes_the_file(encoder, tmp_path, write_wfdb, ecg_adu, recording):
    for options in ({}, {"leads": "2"}):
        read = read_recording(recording.wfdb)
        np.testing.assert_array_equal(
            encoder.embed(read, **options), encoder.embed(recording.wfdb, **options)
        )
    adu = ecg_adu(12, 3000)
    adu[6] = 7
    path = write_wfdb(tmp_path, "a", adu)
    for source in (path, read_recording(path)):
        with pytest.warns(SignalWarning, match=r"record a: left out: V1 \(constant at 0.007 mV\)"):
            encoder.embed(source)


def test_what_cannot_be_read_is_warned_about_or_raised(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path / "b", "good", ecg_adu())
    (tmp_path / "a.xml").write_text("<letter>dear colleague</letter>")
    with pytest.warns(
        SignalWarning,
        match=r"^a is left out: .*a.xml is an XML file of <letter>, for which there is no reader",
    ):
        assert [recording.record_id for recording in read_recordings(tmp_path)] == ["b/good"]
    with pytest.raises(SignalError, match="for which there is no reader"):
        list(read_recordings(tmp_path, on_error="raise"))


def test_folders_stores_and_manifests_are_read_one_record_at_a_time(recording, tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path / "raw" / "a", "x", ecg_adu())
    write_wfdb(tmp_path / "raw" / "b", "y", ecg_adu())
    reading = read_recordings(tmp_path / "raw", leads="2")
    assert next(reading).leads == ("I", "II")
    write_wfdb(tmp_path / "raw" / "b", "z", ecg_adu())  # found, for that folder was not listed before
    assert [found.record_id for found in reading] == ["b/y", "b/z"]
    stored = list(read_recordings(recording.store))
    assert [found.record_id for found in stored] == ["corpus/zero", "corpus/one", "corpus/two"]
    np.testing.assert_array_equal(stored[1].signal_mv, recording.adu * 0.001)
    row = Row(f"store/{recording.shard}#1:2500", 2500, "corpus/one", "corpus/p1", 1)
    (tmp_path / "m.tsv").write_text("".join(format_manifest(recording.store.parent, [row])))
    (whole,) = read_recordings(tmp_path / "m.tsv")
    assert (whole.record_id, whole.leads, whole.n_samples) == ("corpus/one", LEADS, 5000)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"place": "none"}, ConfigError, "none: there is no such folder, file, record store or manifest"),
        ({"place": "."}, ConfigError, r"there is no recording in it \(WFDB headers, .dcm, .*, .mat, .*\)"),
        (
            {"place": "sets"},
            ConfigError,
            "sets is a folder of manifests; name one of them: test.tsv, train.tsv",
        ),
        ({"on_error": "skip"}, ConfigError, "on_error must be 'warn' or 'raise', but is 'skip'"),
        ({"leads": "V77"}, LeadError, "unknown lead 'V77'"),
    ],
)
def test_a_place_or_option_that_does_not_exist_is_refused(tmp_path, monkeypatch, options, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sets").mkdir()
    for name in ("train", "test"):
        (tmp_path / "sets" / f"{name}.tsv").write_text(".\n")
    with pytest.raises(error, match=message):
        list(read_recordings(**{"place": ".", **options}))


def test_what_names_no_recording_is_refused_with_the_next_step(tmp_path):
    with pytest.raises(SignalError, match="this is ndarray; of an array, make a Recording"):
        read_recording(np.zeros((12, 5000)))


def test_the_package_gives_the_same_load_model_as_its_module():
    from fairseq_signals.checkpoints.loading import load_model

    assert fairseq_signals.load_model is load_model


def test_load_model_is_found_in_its_old_place_with_a_warning():
    with pytest.warns(FutureWarning, match="from fairseq_signals import load_model"):
        from fairseq_signals.modules.checkpoint import load_model
    assert load_model is fairseq_signals.load_model
