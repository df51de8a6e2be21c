"""Identification as in the paper: PTB-XL patients with two sessions are tested, the others are classes."""

import pytest

#: PTB-XL: patients p0-p5 with two sessions, q with three, r0-r3 with one
PTB_XL = [
    *((f"{i:05d}_hr", {"source": "ptb-xl", "patient_id": f"p{i // 2}"}) for i in range(12)),
    *((f"{i:05d}_hr", {"source": "ptb-xl", "patient_id": "q"}) for i in range(20, 23)),
    *((f"{i:05d}_hr", {"source": "ptb-xl", "patient_id": f"r{i - 30}"}) for i in range(30, 34)),
]
#: the challenge: records without patients, and PTB-XL's under other names
CHALLENGE = [
    *((f"E{i:05d}", {"source": "georgia"}) for i in range(30)),
    *((f"HR{i:05d}", {"source": "ptb-xl"}) for i in (0, 1, 20, 30, 31)),
]
#: a hospital: ten patients with two recordings
HOSPITAL = [(f"h{i}", {"source": "hospital", "patient_id": f"h{i // 2}"}) for i in range(20)]
PAPER = ("--test-sources", "ptb-xl", "--test-all")


@pytest.fixture
def make(make_store, succeed, tmp_path, read, manifest_json):
    """Manifests of stores with some options: by name, what is printed, and `manifest.json`."""

    def call(*options, stores=(PTB_XL, CHALLENGE), name="m"):
        folders = [tmp_path / f"s{i}" for i in range(len(stores))]
        folders = [f if f.exists() else make_store(f.name, records) for f, records in zip(folders, stores)]
        out = succeed("identification", *folders, "--dest", tmp_path / name, *options)
        return read(name), out, manifest_json(name)

    return call


def test_every_patient_with_two_sessions_is_tested_and_nobody_else(make):
    manifests, out, _ = make(*PAPER)
    patients = [f"ptb-xl/{name}" for name in ("p0", "p1", "p2", "p3", "p4", "p5", "q")]
    gallery, probe = manifests["test_gallery"], manifests["test_probe"]
    assert sorted(gallery.patient_ids) == patients
    assert probe.patient_ids == gallery.patient_ids
    assert set(gallery.record_ids).isdisjoint(probe.record_ids)
    assert "test: 7 patients, so chance is 0.1429" in out


def test_classes_are_the_others_of_all_corpora(make):
    train = make(*PAPER, "--valid-fraction", 0)[0]["train"]
    of_ptb_xl = {patient.split("/")[1] for patient in train.patient_ids if patient.startswith("ptb-xl")}
    assert of_ptb_xl == {"r0", "r1", "r2", "r3"}
    assert sum(patient.startswith("georgia/record/") for patient in set(train.patient_ids)) == 30
    assert not any("HR" in record for record in train.record_ids)  # the same recordings, with patients


def test_classes_are_of_the_corpora_that_are_named(make):
    manifests, out, info = make(*PAPER, "--train-sources", "georgia", "--valid-fraction", 0)
    assert {record.split("/")[0] for record in manifests["train"].record_ids} == {"georgia"}
    assert info["training_classes"] == 30
    assert "4 not of --train-sources" in out


def test_validation_is_within_records_where_nobody_else_has_two_sessions(make, succeed, tmp_path):
    manifests, out, info = make(*PAPER, "--valid-fraction", 0.5)
    gallery, probe = manifests["valid_gallery"], manifests["valid_probe"]
    assert len(gallery) == 4  # as many as half of the seven that are tested
    assert gallery.record_ids == probe.record_ids
    assert set(gallery.paths).isdisjoint(probe.paths)
    assert set(gallery.patient_ids).isdisjoint(
        manifests["train"].patient_ids + manifests["test_probe"].patient_ids
    )
    assert info["within_record"] == {"valid": True, "test": False}
    assert "valid: 4 patients, so chance is 0.2500; gallery and probe are two segments of one record" in out
    assert "no violations" in succeed("check", tmp_path / "m")


def test_validation_has_two_sessions_where_enough_others_have(make, succeed, tmp_path):
    manifests, _, info = make(*PAPER, "--valid-fraction", 0.5, stores=(PTB_XL, CHALLENGE, HOSPITAL))
    gallery, probe = manifests["valid_gallery"], manifests["valid_probe"]
    assert {patient.split("/")[0] for patient in gallery.patient_ids} == {"hospital"}
    assert set(gallery.record_ids).isdisjoint(probe.record_ids)
    assert info["within_record"] == {"valid": False, "test": False}
    assert "no violations" in succeed("check", tmp_path / "m")


def test_pretraining_leaves_out_all_recordings_of_the_tested_under_every_name(make, succeed, tmp_path, read):
    make(*PAPER, "--valid-fraction", 0)
    both = (tmp_path / "s0", tmp_path / "s1")
    options = ("--dest", tmp_path / "pre", "--valid-fraction", 0, "--exclude", tmp_path / "m")
    succeed("pretrain", *both, *options)
    trained = {record.split("/")[1] for record in read("pre")["train"].record_ids}
    held_out = {f"{i:05d}_hr" for i in (*range(12), 20, 21, 22)} | {"HR00000", "HR00001", "HR00020"}
    assert trained.isdisjoint(held_out)
    assert {"00030_hr", "00033_hr", "E00000"} <= trained
    assert "no violations" in succeed("check", tmp_path / "pre", tmp_path / "m")

    options = ("--dest", tmp_path / "pre1", "--valid-fraction", 0, "--exclude", tmp_path / "m")
    succeed("pretrain", tmp_path / "s1", *options)  # the challenge alone: its PTB-XL records have no patients
    trained = {record.split("/")[1] for record in read("pre1")["train"].record_ids}
    assert trained.isdisjoint(held_out)


def test_the_order_of_stores_changes_nothing_and_the_seed_does(make):
    rows = {}
    for name, options in (("a", ()), ("b", ("--seed", 2))):
        manifests, _, _ = make(*PAPER, "--valid-fraction", 0.5, *options, name=name)
        rows[name] = {key: list(manifest.rows()) for key, manifest in manifests.items()}
    assert rows["a"]["test_probe"] != rows["b"]["test_probe"]
    assert {row.patient_id for row in rows["a"]["test_probe"]} == {
        r.patient_id for r in rows["b"]["test_probe"]
    }


def test_stores_are_combined_in_any_order(make_store, succeed, tmp_path, read):
    stores = [make_store(f"s{i}", records) for i, records in enumerate((PTB_XL, CHALLENGE, HOSPITAL))]
    found = []
    for name, order in (("a", stores), ("b", stores[::-1])):
        succeed("identification", *order, "--dest", tmp_path / name, *PAPER)
        found.append({path.name: path.read_text() for path in (tmp_path / name).glob("*.tsv")})
    assert found[0] == found[1]
    train = read("a")["train"]
    assert {path.split("/")[0] for path in train.paths} == {"s0", "s1", "s2"}


def test_only_recordings_of_the_tested_corpora_are_gallery_and_probe(make):
    """A patient whose second recording is in another corpus has one session there: a class."""
    corpus = [(f"{i}", {"source": "x", "patient_id": patient}) for i, patient in enumerate("pqtt")]
    options = ("--test-sources", "x", "--test-all", "--valid-fraction", 0)
    manifests, _, _ = make(*options, stores=(corpus, HOSPITAL))
    assert manifests["test_probe"].patient_ids == ["x/t"]
    assert {"x/p", "x/q"} <= set(manifests["train"].patient_ids)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--test-all", "--valid-fraction", "0"), "classes; at least 2 are needed"),
        (
            ("--test-all", "--test-sources", "ptbxl"),
            "--test-sources: no records of ptbxl are left; there",
        ),
        (("--test-all", "--test-sources", "georgia"), "gallery and probe take two recordings"),
        (("--train-sources", "x"), "--train-sources: no records of x are left"),
        ((*PAPER, "--sources", "georgia"), "--test-sources: no records of ptb-xl are left"),
        ((*PAPER, "--valid-fraction", "1"), "--valid-fraction: must be a number from 0 to below 1"),
    ],
)
def test_options_that_cannot_work_are_refused(make_store, options, message, fails):
    records = [record for record in PTB_XL if not record[1]["patient_id"].startswith("r")]
    stores = [make_store("s0", records), make_store("s1", CHALLENGE[:30])]
    if "--test-sources" not in options and "--test-all" in options:
        stores = stores[:1]
    assert message in fails("identification", *stores, *options)


def test_too_few_others_for_validation_are_told(make_store, fails):
    store = make_store("s", [*PTB_XL, *((f"s{i}", {"seconds": 5}) for i in range(5))])
    options = (*PAPER, "--valid-fraction", 0.9)
    assert "--test-all takes 7 patients, and of the others only 4 can be for validation, not 6" in fails(
        "identification", store, *options
    )


def test_a_share_and_all_contradict_each_other(make_store, fails):
    told = fails("identification", make_store("s", PTB_XL), "--test-all", "--test-fraction", "0.1")
    assert "not allowed with argument --test-all" in told
