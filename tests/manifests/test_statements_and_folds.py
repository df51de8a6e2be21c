"""Classes from likely statements only, and splits from the store itself, as PTB-XL has them."""

import pytest


def ptb_xl(i, statements, fold):
    """A record of PTB-XL as preprocessing stores it."""
    attributes = (("scp_codes", str(statements)), ("strat_fold", str(fold)))
    return f"{i:05d}_hr", {"source": "ptb-xl", "codes": tuple(statements), "attributes": attributes}


PTB_XL = [
    ptb_xl(1, {"IMI": 35.0, "LVH": 100.0, "SR": 0.0}, 1),
    ptb_xl(2, {"IMI": 80.0, "SR": 0.0}, 9),
    ptb_xl(3, {"NORM": 100.0}, 10),
    ptb_xl(4, {"IMI": 15.0}, 10),
    ("E1", {"source": "georgia", "codes": ("IMI",)}),
]


def test_unlikely_statements_do_not_count_and_unknown_likelihoods_do(targets):
    options = ("--labels", "ptbxl_all", "--split", "1:0:0")
    assert targets(*options, records=PTB_XL)[0]["00001_hr"] == {"IMI", "LVH", "SR"}
    found, out = targets(*options, "--min-likelihood", 50)
    assert found == {
        "00001_hr": {"LVH", "SR"},
        "00002_hr": {"IMI", "SR"},
        "00003_hr": {"NORM"},
        "00004_hr": set(),
        "E1": {"IMI"},  # another corpus tells no likelihoods
    }
    assert "2 of 7 statements are less likely than 50 % and do not count; 2 are of unknown likelihood" in out


@pytest.mark.parametrize("text", ["{'NORM': ", "[1]", "{'NORM': 'x'}", "__import__('os')", "(" * 500])
def test_likelihoods_that_cannot_be_read_are_told(classify, text, fails):
    records = [("1", {"codes": ("NORM",), "attributes": (("scp_codes", text),)}), ("2", {})]
    assert "--min-likelihood: record a/1: scp_codes must be like {'NORM': 80.0}, but is" in fails(
        *classify("--labels", "ptbxl_all", "--min-likelihood", 1, records=records)
    )


def test_folds_in_the_store_are_the_published_split(classify, manifest_json, succeed, read):
    out = succeed(*classify("--labels", "ptbxl_all", "--split-by", "strat_fold", records=PTB_XL))
    found = {name: set(manifest.record_ids) for name, manifest in read().items()}
    assert found == {
        "train": {"ptb-xl/00001_hr"},
        "valid": {"ptb-xl/00002_hr"},
        "test": {"ptb-xl/00003_hr", "ptb-xl/00004_hr"},
    }
    assert "1 without the attribute strat_fold" in out
    assert manifest_json()["arguments"]["split_by"] == "strat_fold"


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        (("1", "11"), "--split-by: record a/1: fold must be 1 to 10, but is '11' instead"),
        (("train", "dev"), "--split-by: record a/1: fold must be 1 to 10, but is 'dev' instead"),
        (("1", "test"), "--split-by fold: patient a/p is in train and, with record a/1, in test"),
    ],
)
def test_folds_that_do_not_fit_are_refused(classify, folds, message, fails):
    records = [(str(i), {"patient_id": "p", "attributes": (("fold", fold),)}) for i, fold in enumerate(folds)]
    assert message in fails(*classify("--labels", "cinc2021", "--split-by", "fold", records=records))
