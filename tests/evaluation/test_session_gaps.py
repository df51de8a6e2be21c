"""Identification by the time between gallery and probe: `evaluate --by session_gap`."""

import json

import numpy as np
import pytest

from fairseq_signals.errors import ConfigError
from fairseq_signals.evaluation.groups import read_groups
from fairseq_signals.evaluation.identification import evaluate_identification
from fairseq_signals.evaluation.intervals import group_by
from fairseq_signals.manifest.table import Row, format_manifest
from fairseq_signals.store.shards import StoreRow, write_shard

#: Of each patient when the recordings of gallery and probe were taken.
TIMES = {
    "a": (["2000-01-01 10:00:00"], "2000-01-01 12:00:00"),
    "b": (["2000-01-01"], "2000-01-20"),
    "c": (["2000-01-01", "2003-01-01"], "2000-05-01"),
    "d": (["2000-01-01", ""], "2004-01-01"),
    "e": (["1990-01-01"], "2000-01-01"),
    "f": ([""], "2000-01-01"),
    "g": (["2000-01-01"], "nobody knows"),
    "h": ([], "2000-01-01"),
}
GAPS = dict(zip("abcdefgh", ["same day", "<1 month", "<1 year", "1-5 years", ">5 years", *3 * ["unknown"]]))


@pytest.fixture
def folder(tmp_path):
    """A store with a gallery and a probe manifest of it; probe i is the gallery's, too."""
    times = [(f"{p}-{k}", p, time) for p, (gallery, _) in TIMES.items() for k, time in enumerate(gallery)]
    n_gallery = len(times)
    times += [(f"{p}-probe", p, time) for p, (_, time) in TIMES.items()] + [("i-0", "i", "")]
    signal = np.zeros((1, 500), np.int16)
    rows = [
        StoreRow(name, "x", 500.0, ("I",), np.ones(1), signal, attributes=(("recording_date", time),))
        for name, _, time in times
    ]
    write_shard(tmp_path / "shard-00000.arrow", rows)
    lines = [
        [Row(f"shard-00000.arrow#{i}:{250 * k}", 250, f"x/{name}", f"x/{p}", k) for k in (0, 1)]
        for i, (name, p, _) in enumerate(times)
    ]
    gallery, probe = [*(pair[0] for pair in lines[:n_gallery]), lines[-1][0]], lines[n_gallery:]
    (tmp_path / "test_gallery.tsv").write_text("".join(format_manifest(".", gallery)))
    (tmp_path / "test_probe.tsv").write_text("".join(format_manifest(".", [pair[1] for pair in probe])))
    return tmp_path


def test_a_probe_is_as_far_as_the_nearest_of_the_patients_recordings(folder):
    found = read_groups(folder, "test", ["session_gap", "source"])
    assert list(found) == ["session_gap", "source"]
    expected = {"x/i-0": "same recording", **{f"x/{p}-probe": gap for p, gap in GAPS.items()}}
    assert found["session_gap"] == expected
    assert list(found["session_gap"]) == list(expected)  # in the order of time


def test_accuracy_is_told_by_the_gap(folder):
    """Embeddings that drift with the years: those of one day are found, later ones are not."""
    right = {"a", "b", "i"}
    patients = [*(p for p, (gallery, _) in TIMES.items() for _ in gallery), "i"]
    names = sorted({*patients, "h"})
    gallery = np.eye(len(names))[[names.index(p) for p in patients]]
    probe = np.eye(len(names))[[names.index(p if p in right else "a") for p in [*TIMES, "i"]]]
    embeddings = {"test_gallery.tsv": gallery[None], "test_probe.tsv": probe[None]}
    outcome = evaluate_identification(lambda m: embeddings[m.path.name], folder, ("12",), "test", "record")
    groups = group_by("session_gap", read_groups(folder, "test", ["session_gap"])["session_gap"], outcome, 0)
    assert {group.name: (group.n, group.values["12"]["accuracy"]) for group in groups} == {
        "session_gap=same recording": (1, 1.0),
        "session_gap=same day": (1, 1.0),
        "session_gap=<1 month": (1, 1.0),
        "session_gap=<1 year": (1, 0.0),
        "session_gap=1-5 years": (1, 0.0),
        "session_gap=>5 years": (1, 0.0),
        "session_gap=unknown": (3, 0.0),
    }


@pytest.mark.parametrize(
    ("info", "note"),
    [
        ({}, None),
        ({"within_record": {"test": False}, "protocols": {"test": "two_recordings"}}, None),
        ({"within_record": {"test": True}}, "within_session: gallery and probe are of one record, easier"),
        ({"protocols": {"test": "first_vs_last"}}, "first_vs_last: gallery and probe are of different days"),
    ],
)
def test_results_say_which_recordings_were_compared(folder, info, note):
    (folder / "manifest.json").write_text(json.dumps({"kind": "identification", **info}))
    found = evaluate_identification(
        lambda m: np.ones((1, len(m), 2)), folder, ("12",), "test", "record"
    ).notes
    assert [n for n in found if "protocol" in n] == [n for n in found if note and note in n]
    assert (note is None) == (len(found) == 2)


def test_the_gap_is_of_identification_alone(folder):
    (folder / "test_probe.tsv").rename(folder / "test.tsv")
    (folder / "test_gallery.tsv").unlink()
    with pytest.raises(ConfigError, match="session_gap: is of gallery and probe, but there is no"):
        read_groups(folder, "test", ["session_gap"])
