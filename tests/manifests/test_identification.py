"""`manifests/identification.py`: training classes, and two recordings each of other patients."""

import pytest

#: p00-p29 with two recordings, q00-q09 with one, t with one of a single segment
RECORDS = [
    *((f"p{i:02d}-{k}", {"patient_id": f"p{i:02d}"}) for i in range(30) for k in (1, 2)),
    *((f"q{i:02d}", {"patient_id": f"q{i:02d}"}) for i in range(10)),
    ("t", {"patient_id": "t", "seconds": 5}),
]


@pytest.fixture
def make(make_store, succeed, tmp_path, read):
    """Manifests of `RECORDS` (or others) with some options, by name."""

    def call(*options, records=RECORDS, name="s", shards=1):
        folder = tmp_path / f"m_{name}"
        out = succeed("identification", make_store(name, records, shards), "--dest", folder, *options)
        return read(folder), out

    return call


def test_gallery_and_probe_are_one_recording_each_of_the_same_held_out_patients(make):
    manifests, out = make()
    assert len(manifests["test_gallery"]) == 6  # a fifth of the 30 patients with two recordings
    assert len(manifests["valid_gallery"]) == 3
    for split in ("valid", "test"):
        gallery, probe = manifests[f"{split}_gallery"], manifests[f"{split}_probe"]
        assert gallery.patient_ids == probe.patient_ids
        assert len(set(gallery.patient_ids)) == len(gallery)
        assert set(gallery.record_ids).isdisjoint(probe.record_ids)
        assert gallery.targets == probe.targets == [""] * len(gallery)
    assert "test: 6 patients, so chance is 0.1667" in out


def test_held_out_patients_are_in_no_training_class_and_in_one_split(make):
    manifests, _ = make()
    train, valid, test = (set(manifests[name].patient_ids) for name in ("train", "valid_probe", "test_probe"))
    assert train.isdisjoint(valid)
    assert train.isdisjoint(test)
    assert valid.isdisjoint(test)


def test_a_class_is_the_rank_of_the_patients_name_among_the_training_patients(make):
    train = make()[0]["train"]
    names = sorted(set(train.patient_ids))
    assert [names[int(target)] for target in train.targets] == train.patient_ids
    assert len(names) == 21 + 10  # 30 less 9 held out, and those with one recording
    assert train.segments.tolist() == [0, 1] * (len(train) // 2)


def test_patients_with_too_little_for_a_class_are_counted(make):
    manifests, out = make()
    assert "a/t" not in manifests["train"].patient_ids
    assert "31 training classes; 1 patients have too little for a class" in out
    assert "1 of patients with too little for a class" in out
    manifests, out = make("--min-recordings", 2, name="two")
    assert len(set(manifests["train"].patient_ids)) == 21
    assert "21 training classes; 11 patients have too little" in out


def test_the_order_of_rows_changes_nothing_and_the_seed_does(make):
    found = []
    for name, records, seed in (("a", RECORDS, 1), ("b", RECORDS[::-1], 1), ("c", RECORDS, 2)):
        manifests, _ = make("--seed", seed, records=records, name=name, shards=2)
        rows = {stem: [row._replace(path="") for row in m.rows()] for stem, m in manifests.items()}
        found.append(rows)
    assert found[0] == found[1]
    assert found[0]["test_probe"] != found[2]["test_probe"]


def test_gallery_and_probe_take_either_recording(make):
    """Which of the two recordings is enrolled is drawn, so that the task has no direction in time."""
    gallery = make("--test-fraction", 0.8, "--valid-fraction", 0.1)[0]["test_gallery"]
    assert {record[-1] for record in gallery.record_ids} == {"1", "2"}


def test_more_segments_of_a_recording_are_listed_if_asked(make):
    manifests, _ = make("--segments-per-recording", 5)
    gallery = manifests["test_gallery"]
    assert len(gallery) == 12  # each recording has two
    assert gallery.segments.tolist() == [0, 1] * 6


def test_within_record_takes_two_segments_of_one_record(make):
    records = [(f"r{i:02d}", {"seconds": 10 + 5 * (i % 3)}) for i in range(30)]
    records += [("short", {"seconds": 5})]
    manifests, _ = make("--within-record", records=records)
    for split in ("valid", "test"):
        gallery, probe = manifests[f"{split}_gallery"], manifests[f"{split}_probe"]
        assert gallery.record_ids == probe.record_ids
        assert all(a != b for a, b in zip(gallery.paths, probe.paths))
        assert "a/short" not in gallery.record_ids
    assert len(manifests["test_gallery"]) == 6
    assert set(manifests["test_gallery"].record_ids).isdisjoint(manifests["train"].record_ids)


def test_other_recordings_of_held_out_patients_are_counted(make):
    records = [(f"p{i}-{k}", {"patient_id": f"p{i}"}) for i in range(10) for k in range(3)]
    manifests, out = make(records=records)
    assert len(manifests["test_probe"]) == 2
    assert "left out 3: 3 more of gallery and probe patients" in out


def test_corpus_without_repeated_recordings_is_compared_within_its_records(make):
    manifests, out = make(records=[(f"r{i}", {}) for i in range(10)])
    assert manifests["test_gallery"].record_ids == manifests["test_probe"].record_ids
    assert set(manifests["test_gallery"].paths).isdisjoint(manifests["test_probe"].paths)
    assert "gallery and probe are two segments of one record, not two sessions" in out


def test_patients_of_one_segment_cannot_be_tested(make_store, fails):
    store = make_store("s", [(f"r{i}", {"seconds": 6}) for i in range(10)])
    assert "two recordings, or a record of two segments; none of the 10 patients has that" in fails(
        "identification", store
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--valid-fraction", "1"), "--valid-fraction: must be a number from 0 to below 1, but is '1'"),
        (("--test-fraction=-0.1",), "--test-fraction: must be a number from 0 to below 1"),
        (
            ("--valid-fraction", "0", "--test-fraction", "0"),
            "must leave patients to train on, and to test on",
        ),
        (("--valid-fraction", "0.5", "--test-fraction", "0.5"), "must leave patients to train on"),
        (("--min-recordings", "0"), "--min-recordings: must be an integer from 1, but is '0'"),
        (("--segments-per-recording", "0"), "--segments-per-recording: must be an integer from 1"),
        (("--seed", "x"), "--seed: must be an integer, but is 'x'"),
        (("--fs=0",), "--fs: must be a number > 0, but is '0'"),
        (("--segment-seconds=inf",), "--segment-seconds: must be a number above 0 and at most 1e+06"),
        (("--min-recordings", "3"), "0 training classes; at least 2 are needed"),
    ],
)
def test_options_that_cannot_work_are_refused(make_store, options, message, fails):
    assert message in fails("identification", make_store("s", RECORDS), *options)


def test_a_split_without_a_share_has_no_files(make):
    manifests, _ = make("--valid-fraction", 0)
    assert sorted(manifests) == ["test_gallery", "test_probe", "train"]
