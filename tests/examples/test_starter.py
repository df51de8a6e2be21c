"""The starter's folder: heads on frozen statistics, figures, and a card that tells licences."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest
import torch
import yaml

from fairseq_signals import ECGModel
from fairseq_signals.errors import ConfigError, ManifestError
from fairseq_signals.evaluation.evaluate import evaluate
from fairseq_signals.manifest.table import read_manifest
from fairseq_signals.modules.encoder import ECGEncoder
from fairseq_signals.modules.encoder_config import EncoderConfig
from fairseq_signals.modules.heads import PooledEncoder

MODULES = ("heads", "figures", "card", "pack")
LABELS = ["AF", "SB"]


@pytest.fixture(scope="module")
def scripts(repo_dir):
    """The files of the example as modules."""
    before, path = {name: sys.modules.pop(name, None) for name in MODULES}, list(sys.path)
    sys.path.insert(0, str(repo_dir / "examples" / "starter"))
    yield {name: importlib.import_module(name) for name in MODULES}
    sys.path[:] = path
    for name, module in before.items():  # other examples have files of the same names
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module


@pytest.fixture(scope="module")
def packed(scripts, corpus, tmp_path_factory):
    """The folder packed of a tiny encoder, its recipe, and what was printed."""
    folder = tmp_path_factory.mktemp("packed")
    options = {"encoder_layers": 2, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 32, "conv_pos": 4}
    options |= {"encoder_attention_heads": 2, "conv_feature_layers": "[(8, 2, 2)] * 4", "conv_pos_groups": 2}
    torch.manual_seed(0)
    state = PooledEncoder(ECGEncoder(EncoderConfig(**options))).state_dict()
    torch.save({"model": state, "cfg": {"model": options}}, folder / "c.pt")
    of = [{"manifests": "classification", "corpus": "synthetic", "leads": ["12", "1"], "classes": LABELS}]
    recipe = {"pooling": ["mean:2", "std:1"], "heads": [{"labels": ["fibrillation", "slow"], "of": of}]}
    recipe["identification"] = [{"manifests": "identification", "corpus": "synthetic", "leads": ["1"]}]
    (folder / "heads.yaml").write_text(yaml.safe_dump(recipe))
    known = [{"sources": ["cpsc_2018", "cpsc_2018_extra", "ptb-xl", "georgia", "chapman_shaoxing", "ningbo"],
              "title": "Made up", "licence": "CC0", "cite": "nobody"}]  # fmt: skip
    (folder / "sources.yaml").write_text(yaml.safe_dump(known))
    argv = [str(folder / "c.pt"), "--manifests", str(corpus.store.parent), "--out", str(folder / "model")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripts["card"], "SOURCES", folder / "sources.yaml")
        assert scripts["pack"].main([*argv, "--recipe", str(folder / "heads.yaml")]) == 0
    return folder


def test_probabilities_of_the_folder_are_those_whose_figures_are_told(scripts, packed, corpus):
    model = ECGModel.load(packed / "model")
    assert model.labels == ("fibrillation", "slow")
    recipe = scripts["heads"].read_recipe(packed / "heads.yaml")
    found = list(scripts["figures"].figures(packed / "model", corpus.store.parent, recipe, resamples=20))
    auroc = {f.leads: f for f in found if f.metric == "AUROC"}
    assert list(auroc) == ["12", "1"]
    assert all(f.bounds.low <= f.value <= f.bounds.high for f in found if np.isfinite(f.bounds.low))
    (persons,) = (f for f in found if f.what == "persons")
    outcome = evaluate(packed / "model", corpus.identification, {"1": (0,)})
    assert persons.value == outcome.values["1"]["accuracy"]


def test_statistics_are_centred_and_weigh_what_stays_with_a_person(scripts, packed, corpus):
    heads, model = scripts["heads"], ECGModel.load(packed / "model")
    features, recipe = heads.Features(model, corpus.store.parent), heads.read_recipe(packed / "heads.yaml")
    folder = corpus.identification
    held = {patient for path in folder.glob("*_*.tsv") for patient in read_manifest(path).patient_ids}
    trained = read_manifest(corpus.classification / "train.tsv").patient_ids
    x = features.of(recipe.heads[0].of[0], "train")
    x = x[:, [patient not in held for patient in trained]]  # nothing is learnt from who is tested
    assert 0 < x.shape[1] < len(trained)
    people = features.of(recipe.identification[0], "train")[0]
    centres = np.mean([*x.mean(axis=1), people.mean(axis=0)], axis=0)
    within = heads.variance_within(people, np.array(read_manifest(folder / "train.tsv").patient_ids))
    reliability = (1 - within / people.var(axis=0)).clip(heads.LEAST, 1)
    scale = model.network.statistics.deviation.numpy()
    np.testing.assert_allclose(centres / scale, 0, atol=1e-2)  # float16 apart
    np.testing.assert_allclose(np.sqrt(within), reliability, rtol=0.02)


def test_variance_within_people_is_about_their_means(scripts):
    x, ids = np.array([[1.0, 0.0], [3.0, 0.0], [10.0, 4.0], [10.0, 8.0], [5.0, 5.0]]), np.array(list("aabbc"))
    np.testing.assert_allclose(scripts["heads"].variance_within(x, ids), [2 / 2, 8 / 2])


def test_the_card_tells_counts_licences_figures_and_the_checksum(packed):
    card = (packed / "model" / "README.md").read_text()
    config = json.loads((packed / "model" / "config.json").read_text())
    assert config["weights_sha256"] in card
    assert config["format_version"] == 4
    assert "| Made up |" in card
    assert "| CC0 | nobody |" in card
    assert "no medical device" in card
    assert card.count("| AUROC |") == 2
    assert not yaml.safe_load(card.split("---\n")[1])["library_name"].count("{")


def test_recordings_whose_licence_is_not_told_stop_the_card(scripts, packed, corpus, monkeypatch):
    recipe = scripts["heads"].read_recipe(packed / "heads.yaml")
    (packed / "none.yaml").write_text("[]")
    monkeypatch.setattr(scripts["card"], "SOURCES", packed / "none.yaml")
    with pytest.raises(ManifestError, match=r"the licences of .* are not told in sources.yaml"):
        scripts["card"].card_of(packed / "model", corpus.pretrain, recipe, [])


def test_a_threshold_lies_between_the_two_groups_that_it_parts(scripts):
    probabilities, truth = np.array([0.1, 0.2, 0.3, 0.6, 0.9]), np.array([0, 0, 0, 1, 1], bool)
    assert scripts["heads"].best_threshold(probabilities, truth) == pytest.approx(0.45)


def test_a_class_that_manifests_lack_is_refused(scripts, packed, corpus):
    features = scripts["heads"].Features(ECGModel.load(packed / "model"), corpus.store.parent)
    source = scripts["heads"].Source("classification", "synthetic", ("12",))
    with pytest.raises(ConfigError, match="of flutter it has only"):
        features.labels(source, "train", ["flutter"])
