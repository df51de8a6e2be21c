"""What a store says of how its records were resampled."""

import json

import numpy as np
import pytest

from fairseq_signals.ecg.resample import RESAMPLERS, resample
from fairseq_signals.errors import ConfigError, StoreError
from fairseq_signals.formats.wfdb import read_wfdb
from fairseq_signals.store.building import build_store
from fairseq_signals.store.conversion import BuildOptions, Item
from fairseq_signals.store.reading import RecordStore
from fairseq_signals.store.resampled import resampled_otherwise, warn_if_resampled_otherwise


@pytest.fixture
def items(tmp_path, write_wfdb, ecg_adu):
    """One record at the store's rate, one at another."""
    paths = {name: write_wfdb(tmp_path, name, ecg_adu(), fs=fs) for name, fs in (("a", 500), ("b", 400))}
    return [Item("corpus", name, str(path)) for name, path in paths.items()]


def build(items, dest, how):
    build_store(items, dest, BuildOptions(resampler=how), workers=1, progress=False)
    return RecordStore(dest)


def test_a_store_tells_how_its_records_were_resampled_which_only_other_rates_show(items, tmp_path):
    stores = {how: build(items, tmp_path / how, how) for how in RESAMPLERS}
    assert all(store.resampler == how for how, store in stores.items())
    a, b = ([stores[how].read("shard-00000.arrow", row)[0] for how in RESAMPLERS] for row in (0, 1))
    assert np.array_equal(*a)
    assert not np.array_equal(*b)
    expected = resample(read_wfdb(tmp_path / "b").signal_mv(), 400, 500, "linear")
    np.testing.assert_allclose(b[1], expected, atol=np.abs(expected).max() / 32767)


def test_only_records_that_were_resampled_are_resampled_otherwise(items, tmp_path, caplog):
    both, one = build(items, tmp_path / "both", "polyphase"), build(items[:1], tmp_path / "one", "polyphase")
    assert [resampled_otherwise(store, "linear") for store in (both, one)] == [True, False]
    assert not resampled_otherwise(both, "polyphase")
    for store in (both, one):
        warn_if_resampled_otherwise(store, "linear")
    (told,) = caplog.messages
    assert "resampled polyphase, but the model expects linear" in told
    (tmp_path / "one" / "store.json").unlink()
    assert resampled_otherwise(RecordStore(tmp_path / "one"), "linear")


def test_a_store_without_a_note_is_polyphase_and_can_be_gone_on_with(items, tmp_path):
    build(items, tmp_path / "store", "polyphase")
    path = tmp_path / "store" / "store.json"
    written = path.read_bytes()
    path.write_text(json.dumps({k: v for k, v in json.loads(written).items() if k != "resampler"}))
    assert RecordStore(tmp_path / "store").resampler == "polyphase"
    build(items, tmp_path / "store", "polyphase")
    assert path.read_bytes() == written


def test_a_resampler_that_does_not_exist_is_refused(items, tmp_path):
    with pytest.raises(ConfigError, match="polyphase or linear, but is 'cubic'"):
        build(items, tmp_path / "store", "cubic")
    build(items, tmp_path / "store", "linear")
    path = tmp_path / "store" / "store.json"
    path.write_text(path.read_text().replace("linear", "cubic"))
    with pytest.raises(StoreError, match="resampler must be one of polyphase, linear, but is 'cubic'"):
        RecordStore(tmp_path / "store")
