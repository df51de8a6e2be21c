"""What folders, files, stores and manifests on a command line stand for: each recording once, by name."""

import os

import numpy as np
import pytest
import scipy.io

from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.errors import ConfigError, FairseqSignalsError, ManifestError, SignalWarning
from fairseq_signals.inference.listing import list_recordings
from fairseq_signals.inference.patients import patients_of
from fairseq_signals.inference.sources import Opener
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.store.shards import StoreRow, write_shard


def names(*places):
    return [named.name for named in list_recordings(map(str, places))]


def readable(place):
    """Names of the recordings of a place that can be read, and of those that cannot."""
    read, refused = [], []
    for named in list_recordings([str(place)]):
        try:
            Opener().read(named.source)
        except FairseqSignalsError:
            refused.append(named.name)
        else:
            read.append(named.name)
    return read, refused


def test_a_folder_gives_the_recordings_of_every_format(mixed):
    read, refused = readable(mixed)
    assert refused == []
    assert read == ["p1/challenge", "p1/wfdb", "p2/joined", "p2/single", "p3/chart", "p3/export", "p4/hl7",
                    "p4/muse", "p4/philips", "p5/1.2.840.10008", "sph"]  # fmt: skip
    joined = next(named for named in list_recordings([str(mixed)]) if named.name == "p2/joined")
    assert Opener().read(joined.source).n_samples == 5000  # both segments, the tail is left out


def test_what_cannot_be_read_is_listed_so_that_reading_tells_why(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path, "good", ecg_adu())
    (tmp_path / "lost.dat").write_bytes(b"\0" * 80)
    (tmp_path / "table.mat").write_bytes(b"not of MATLAB")
    (tmp_path / "letter.xml").write_text("<letter>dear colleague</letter>")
    scipy.io.savemat(tmp_path / "late_2.mat", {"feats": ecg_adu() / 1000.0, "curr_sample_rate": 500})
    assert readable(tmp_path) == (["good", "late_2"], ["letter", "lost", "table"])


def test_a_signal_file_beside_a_header_that_names_another_is_no_second_recording(
    tmp_path, write_wfdb, ecg_adu
):
    header = write_wfdb(tmp_path, "a", ecg_adu())
    (tmp_path / "a.dat").rename(tmp_path / "other.dat")
    header.write_text(header.read_text().replace("a.dat", "other.dat"))
    (tmp_path / "a.dat").write_bytes(b"1234")
    with pytest.warns(SignalWarning, match=r"1 signal files are left out, the first .*a.dat: .* a.hea"):
        assert names(tmp_path) == ["a"]


def test_all_files_of_a_wfdb_record_are_one_recording(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path, "a", ecg_adu())
    write_wfdb(tmp_path, "b.5mg", ecg_adu(), suffix=".mat")
    expected = [str(tmp_path / "a"), str(tmp_path / "b.5mg")]
    assert names(*sorted(tmp_path.iterdir())) == expected  # as a shell makes of A/*
    assert names(*expected) == expected
    assert readable(tmp_path / "b.5mg.mat") == (expected[1:], [])


def test_a_header_in_upper_case_is_listed_and_read(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "a", ecg_adu())
    header.rename(tmp_path / "a.HEA")
    (named,) = list_recordings([str(tmp_path)])
    assert Opener().read(named.source).record_id == "a"


def test_two_formats_of_one_name_are_two_recordings(tmp_path, write_wfdb, ecg_adu, lookalike):
    write_wfdb(tmp_path / "a", "one", ecg_adu())
    lookalike("scp").write(tmp_path / "a" / "one.scp", ecg_adu())
    assert names(tmp_path) == ["a/one", "a/one.scp"]


def test_a_file_of_many_recordings_gives_each_by_its_exam_or_row(tmp_path, lookalike):
    h5py = pytest.importorskip("h5py")
    folder = lookalike("code15").make(tmp_path)
    listed = list_recordings([str(folder)])
    assert sum(named.name.startswith("exams_part0/") for named in listed) >= 3
    assert "exams_part0/168405" in [named.name for named in listed]
    assert len({Opener().read(named.source).record_id for named in listed}) == len(listed)
    part = folder / "exams_part0.hdf5"
    assert f"{part}/168405" in names(part)
    with h5py.File(part, "r") as whole, h5py.File(tmp_path / "bare.hdf5", "w") as file:
        file["tracings"] = whole["tracings"][:2]
    assert names(tmp_path / "bare.hdf5") == [f"{tmp_path / 'bare.hdf5'}#{row}" for row in (0, 1)]


def test_stores_and_manifests_give_their_records_with_their_patients(recording, tmp_path):
    listed = list_recordings([str(recording.store)])
    assert [named.name for named in listed] == ["corpus/zero", "corpus/one", "corpus/two"]
    assert patients_of(listed, None)[1] == "corpus/record/one"
    rows = [Row(f"store/{recording.shard}#{row}:{2500 * k}", 2500, f"corpus/{name}", f"corpus/p{row}", k)
            for row, name in ((2, "two"), (1, "one")) for k in (0, 1)]  # fmt: skip
    (tmp_path / "m.tsv").write_text("".join(format_manifest(recording.store.parent, rows)))
    manifest = str(tmp_path / "m.tsv")
    listed = list_recordings([manifest, manifest])
    assert [named.name for named in listed] == ["corpus/two", "corpus/one"]
    assert patients_of(listed, None) == ["corpus/p2", "corpus/p1"]
    assert Opener().read(listed[0].source).record_id == "two"
    np.testing.assert_allclose(Opener().read(listed[1].source).signal_mv, recording.mv, atol=1e-12)
    (tmp_path / "m.tsv").write_text((tmp_path / "m.tsv").read_text().replace("corpus/two", "corpus/zero"))
    with pytest.raises(
        ManifestError, match=r"shard-00000.arrow#2:0 is corpus/two in the store, but corpus/zero"
    ):
        list_recordings([manifest])  # the store was built anew since


def test_a_store_says_whose_its_records_are(tmp_path, ecg_adu):
    rows = [StoreRow(name, "c", 500.0, LEADS, np.full(12, 0.001), ecg_adu(seed=i), patient_id="p1")
            for i, name in enumerate(("a", "b"))]  # fmt: skip
    write_shard(tmp_path / "shard-00000.arrow", rows)
    assert patients_of(list_recordings([str(tmp_path)]), None) == ["c/p1", "c/p1"]


def test_segments_of_the_authors_manifests_are_one_recording(tmp_path, ecg_adu, lookalike):
    mv = ecg_adu(12, 5000) / 1000.0
    lookalike("authors_mat").write_record(tmp_path, "r", mv)
    (tmp_path / "train.tsv").write_text(f"{tmp_path}\nr_0.mat\t2500\nr_1.mat\t2500\n")
    (named,) = list_recordings([str(tmp_path / "train.tsv")])
    assert named.source == tmp_path / "r_0.mat"
    np.testing.assert_allclose(Opener().read(named.source).signal_mv, mv, atol=1e-6)


def test_an_odd_entry_or_a_mistyped_path_beside_others_is_a_recording_that_cannot_be_read(
    tmp_path, write_wfdb, ecg_adu
):
    write_wfdb(tmp_path / "raw" / "p", "r", ecg_adu(1, 3000), ["I"])
    os.mkfifo(tmp_path / "raw" / "p" / "pipe.edf")
    (tmp_path / "raw" / "loop").symlink_to("loop")
    (tmp_path / "none").mkdir()
    places = [str(tmp_path / name) for name in ("raw", "none", "rwa", "raw/p/pipe.edf")]
    read = {}
    for listed in list_recordings(places):
        try:
            read[listed.name] = Opener().read(listed.source).fs
        except FairseqSignalsError as error:
            read[listed.name] = str(error)
    assert read.pop("p/r") == 500
    parts = {
        "p/pipe.edf": "is a pipe",
        "loop": "is a link that runs in a circle",
        places[1]: "no recording in it",
    }
    parts |= {places[2]: "there is no such file", places[3]: "is a pipe, not a file"}
    assert read.keys() == parts.keys()
    assert all(part in read[name] for name, part in parts.items())


def test_places_without_a_recording_and_equal_names_are_refused(tmp_path, write_wfdb, ecg_adu):
    with pytest.raises(ConfigError, match="there is no recording in it"):
        list_recordings([str(tmp_path)])
    for folder in ("a", "b"):
        write_wfdb(tmp_path / folder, "x", ecg_adu())
    with pytest.raises(ConfigError, match="two recordings are called x"):
        list_recordings([str(tmp_path / "a"), str(tmp_path / "b")])
