"""A manifest's recordings, whole and once each."""

import numpy as np
import scipy.io

from fairseq_signals.data.manifest import Row, read_manifest, write_manifest
from fairseq_signals.inference.manifests import manifest_records
from fairseq_signals.inference.sources import Opener


def test_recordings_of_a_store_are_listed_once_and_read_whole(recording, tmp_path):
    rows = [
        Row(
            f"store/{recording.shard}#{row}:{2500 * segment}",
            2500,
            f"corpus/{name}",
            f"corpus/p{row}",
            segment,
        )
        for row, name in ((1, "one"), (2, "two"))
        for segment in (0, 1)
    ]
    write_manifest(tmp_path / "m.tsv", recording.store.parent, rows)
    for manifest in (tmp_path / "m.tsv", read_manifest(tmp_path / "m.tsv")):
        listed = manifest_records(manifest)
        assert [(r.record_id, r.patient_id) for r in listed] == [
            ("corpus/one", "corpus/p1"),
            ("corpus/two", "corpus/p2"),
        ]
        opener = Opener()
        np.testing.assert_allclose(opener.read(listed[0].source).signal_mv, recording.mv, atol=1e-12)
        assert opener.read(listed[1].source).record_id == "two"


def test_segments_of_the_authors_scripts_are_put_together(recording, tmp_path):
    for segment in (0, 1):
        feats = recording.mv[:, 2500 * segment :][:, :2500]
        scipy.io.savemat(tmp_path / f"r_{segment}.mat", {"feats": feats, "curr_sample_rate": 500})
    (tmp_path / "train.tsv").write_text(f"{tmp_path}\nr_0.mat\t2500\nr_1.mat\t2500\n")
    (listed,) = manifest_records(tmp_path / "train.tsv")
    assert listed.source == tmp_path / "r_0.mat"
    np.testing.assert_allclose(Opener().read(listed.source).signal_mv, recording.mv, atol=1e-6)
