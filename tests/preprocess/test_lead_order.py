"""Corpora whose files have leads in different orders: one ECG is one input of a model, whatever its file."""

import importlib

import numpy as np
import pytest

from fairseq_signals.batches.segments import SegmentReader
from fairseq_signals.ecg.leads import LEADS
from fairseq_signals.manifest.table import Row, format_manifest, read_manifest
from fairseq_signals.store.reading import RecordStore


@pytest.fixture
def source(lookalike, write_wfdb, ecg_adu, tmp_path):
    """`source(corpus, of=names)`: an ECG (12, T) through the files of a corpus, its store and a manifest.

    Samples of a lead are those of its name in `LEADS`, in the order of the names `of`.
    """
    adu = ecg_adu(n_samples=5000)

    def read(corpus: str, of: tuple | None = None) -> np.ndarray:
        made = lookalike(corpus)
        names = [name.replace("AV", "aV") for name in of or made.LEADS]
        ordered = adu[[LEADS.index(name) for name in names]]

        def write(*arguments, **options):
            return write_wfdb(*arguments, **{**options, "gain": "200.0"})

        folder = tmp_path / f"{corpus}{bool(of)}"
        root = made.make(folder, write, lambda n_samples, seed: ordered[:, :n_samples])
        main = importlib.import_module(f"preprocess.{corpus}").main
        assert main([str(root), "--dest", str(folder / "store"), "--workers", "1"]) == 0
        first = RecordStore(folder / "store").metadata().to_pylist()[0]
        row = Row("shard-00000.arrow#0:0", 5000, f"{first['source']}/{first['record_id']}", "x/p", 0)
        (folder / "train.tsv").write_text("".join(format_manifest(folder / "store", [row])))
        return SegmentReader(read_manifest(folder / "train.tsv")).read(0)

    return read


def test_an_ecg_that_two_corpora_write_in_other_orders_is_bit_for_bit_the_same(source):
    of_mimic, of_ptbxl = source("mimic_iv_ecg"), source("ptbxl")
    assert of_mimic.shape == (12, 5000)
    np.testing.assert_array_equal(of_mimic, of_ptbxl)
    avl, avf = LEADS.index("aVL"), LEADS.index("aVF")
    assert (of_mimic[avl] != of_mimic[avf]).any()
    # a file whose header is right and whose columns are not is another ECG: order is by name, not by place
    swapped = source("mimic_iv_ecg", of=LEADS)
    np.testing.assert_array_equal(swapped[[avf, avl]], of_ptbxl[[avl, avf]])
