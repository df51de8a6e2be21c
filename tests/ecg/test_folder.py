"""Which records a folder holds."""

from fairseq_signals.ecg.folder import find_records


def ids(listing):
    return [record.record_id for record in listing.records]


def test_records_are_found_at_any_depth_and_sorted(tmp_path, write_wfdb, ecg_adu):
    for folder, name in [("b/g2", "r10"), ("a", "r2"), ("b/g1", "r1"), (".", "z")]:
        write_wfdb(tmp_path / folder, name, ecg_adu(1, 20), ["I"])
    listing = find_records(tmp_path)
    assert ids(listing) == ["a/r2", "b/g1/r1", "b/g2/r10", "z"]
    assert all(record.path.is_absolute() and record.path.is_file() for record in listing.records)
    assert listing.orphans == []


def test_segments_and_layouts_are_not_records(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path, "r_1", ecg_adu(1, 20), ["I"])
    (tmp_path / "r_layout.hea").write_text("r_layout 1 500 0\n~ 0 200/mV 0 0 0 0 0 I\n")
    (tmp_path / "r.hea").write_text("r/3 1 500 30\nr_layout 0\nr_1 20\n~ 10\n")
    assert ids(find_records(tmp_path)) == ["r"]


def test_signal_files_that_no_header_names_are_listed(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path / "a", "r", ecg_adu(1, 20), ["I"], suffix=".mat")
    write_wfdb(tmp_path / "a", "lost", ecg_adu(1, 20), ["I"], suffix=".mat").unlink()
    (tmp_path / "a" / "r.atr").write_bytes(b"annotations are not signals")
    assert find_records(tmp_path).orphans == ["a/lost.mat"]


def test_a_broken_header_is_listed_all_the_same(tmp_path):
    (tmp_path / "r.hea").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.hea").write_bytes(b"")
    assert ids(find_records(tmp_path)) == ["empty", "r"]


def test_linked_folders_are_followed_and_loops_are_not(tmp_path, write_wfdb, ecg_adu):
    write_wfdb(tmp_path / "elsewhere", "r", ecg_adu(1, 20), ["I"])
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    assert ids(find_records(root)) == ["link/r"]


def test_the_digest_tells_a_changed_header_or_signal_file(tmp_path, write_wfdb, ecg_adu):
    header = write_wfdb(tmp_path, "r", ecg_adu(1, 20), ["I"])

    def digest():
        return find_records(tmp_path).records[0].digest

    first = digest()
    assert digest() == first
    header.write_text(header.read_text().replace("1000", "2000"))
    second = digest()
    (tmp_path / "r.dat").write_bytes(b"short")
    third = digest()
    (tmp_path / "r.dat").unlink()
    assert len({first, second, third, digest()}) == 4


def test_an_empty_folder_has_no_records(tmp_path):
    assert find_records(tmp_path).records == []
