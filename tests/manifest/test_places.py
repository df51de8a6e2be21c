"""Places in stores are parsed, one by one and all at once, and the records there are found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq_signals.errors import ManifestError, StoreError
from fairseq_signals.manifest.places import PlacesInStores, parse_path, parse_paths
from fairseq_signals.store.shards import StoreRow, write_shard

names = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1)


@pytest.fixture
def root(tmp_path):
    """Stores `a`, of a shard without records and one of two, and `b`, of one record; a sample a letter."""
    for store, shards in {"a": ((), ("r", "rr")), "b": (("rrr",),)}.items():
        (tmp_path / store).mkdir()
        for number, records in enumerate(shards):
            rows = [
                StoreRow(r, store, 500.0, ("I",), np.ones(1), np.zeros((1, len(r)), np.int16))
                for r in records
            ]
            write_shard(tmp_path / store / f"shard-{number:05d}.arrow", rows)
    return tmp_path


@settings(deadline=None)
@given(st.lists(st.tuples(names, st.integers(0, 10**17), st.integers(0, 10**17))))
def test_paths_are_parsed_into_their_parts(parts):
    paths = [f"{shard}#{row}:{start}" for shard, row, start in parts]
    assert [parse_path(path) for path in paths] == parts
    shards, places = parse_paths(paths)
    assert [(shards[number], row, start) for number, row, start in places.tolist()] == parts


@pytest.mark.parametrize(
    "path", ["shard.arrow", "shard.arrow#1", "shard.arrow#a:0", "#", "shard.arrow#1:2:3"]
)
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ManifestError, match="path must be `<shard>#<row>:<start>`"):
        parse_path(path)


def test_the_records_at_places_of_several_stores_are_found_with_their_samples(root):
    places = ("b/shard-00000.arrow#0", "a/shard-00001.arrow#1", "a/shard-00001.arrow#0",
              "a/shard-00001.arrow#2", "a/shard-00000.arrow#0", "a/shard-00009.arrow#0")  # fmt: skip
    records, lengths = PlacesInStores().find(root, [f"{place}:0" for place in places])
    assert records.to_pylist() == ["b/rrr", "a/rr", "a/r", None, None, None]
    assert lengths.tolist() == [3, 2, 1, 0, 0, 0]


def test_of_a_store_that_cannot_be_read_there_is_an_error_or_nothing(root):
    with pytest.raises(StoreError, match="there is no such folder"):
        PlacesInStores().find(root, ["c/shard-00000.arrow#0:0"])
    records, _ = PlacesInStores(missing_ok=True).find(root, ["c/shard-00000.arrow#0:0"])
    assert records.to_pylist() == [None]
