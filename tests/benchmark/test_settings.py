"""The settings of a benchmark: what a file may say, what it means, and errors that name the key."""

from __future__ import annotations

import pytest
import yaml

from fairseq_signals.benchmark.settings import SHIPPED, Settings, find_settings
from fairseq_signals.errors import ConfigError

CONFIG = "w2v/config/pretraining/w2v_demo.yaml"


def given(**changes: object) -> dict:
    """A small file of settings, with changes."""
    return {
        "budget_s": 30,
        "corpora": {"mine": {"path": "raw", "script": "wfdb_folder"}},
        "tasks": {
            "dx": {"kind": "classification", "corpora": "mine", "fractions": [1, 100], "finetune": True}
        },
        "methods": {
            "random": {"random_of": "w2v"},
            "w2v": {"title": "W2V", "config": CONFIG, "seconds": 0.25, "share": 0.5},
        },
        **changes,
    }


@pytest.fixture
def read(tmp_path):
    """`read(**changes)`: the settings of a file."""

    def of(**changes: object) -> Settings:
        path = tmp_path / "settings.yaml"
        path.write_text(yaml.safe_dump(given(**changes)))
        return Settings.read(path)

    return of


def test_a_method_gets_the_updates_that_its_share_of_the_budget_pays(read):
    settings = read()
    assert settings.updates(settings.methods["w2v"]) == 0.5 * 30 / 0.25


def test_what_an_update_costs_must_have_been_measured(read):
    settings = read(methods={"w2v": {"config": CONFIG}})
    with pytest.raises(ConfigError, match=r"methods\.w2v\.seconds .* --measure"):
        settings.updates(settings.methods["w2v"])


def test_a_saved_model_is_tested_by_its_own_representation_unless_the_row_names_features(read, tmp_path):
    (tmp_path / "m").mkdir()
    saved = {"model": str(tmp_path / "m")}
    settings = read(methods={**given()["methods"], "saved": saved, "other": {**saved, "features": ["std:0"]}})
    assert settings.features_of("saved") == ()
    assert settings.features_of("other") == ("std:0",)
    assert settings.features_of("w2v") == settings.features_of("random") == ("mean:-1", "std:-1")


def test_settings_that_a_run_keeps_are_read_as_they_were(read, tmp_path):
    settings = read(out=str(tmp_path / "out"), seeds=[3, 4])
    settings.write()
    assert Settings.read(tmp_path / "out") == settings


def test_paths_are_from_the_folder_of_the_file_and_configurations_below_the_examples_too(read, tmp_path):
    (tmp_path / "mine.yaml").write_text("model: {}")
    methods = {"mine": {"config": "mine.yaml"}, "w2v": {"config": CONFIG}, "saved": {"model": "folder"}}
    settings = read(methods=methods)
    assert settings.methods["mine"].config == str(tmp_path / "mine.yaml")
    assert settings.methods["w2v"].config.endswith(f"/examples/{CONFIG}")
    assert settings.methods["saved"].model == str(tmp_path / "folder")
    assert settings.corpora["mine"].path == str(tmp_path / "raw")


def test_the_baseline_is_a_row_whatever_rows_are_chosen(read):
    assert read(rows=["w2v"], baseline="random").rows == ("random", "w2v")


def test_lists_in_lists_are_joined_as_aliases_of_yaml_make_them(read):
    methods = {"w2v": {"config": CONFIG, "overrides": [["a.b=1", "a.c=2"], "a.b=3"]}}
    assert read(methods=methods).methods["w2v"].overrides == ("a.b=1", "a.c=2", "a.b=3")


def test_identification_uses_no_labels_and_so_no_part_of_them(read):
    task = {"kind": "identification", "corpora": "mine", "fractions": [1, 100]}
    assert read(tasks={"id": task}).tasks["id"].fractions == (100,)


def test_a_model_that_fairseq_cannot_train_is_not_fine_tuned(read):
    methods = {
        "w2v": {"config": CONFIG},
        "theirs": {"object": "module:attribute"},
        "onnx": {"onnx": "x.onnx"},
    }
    settings = read(methods=methods)
    assert [fraction for _, _, fraction in settings.finetuned("w2v")] == [1, 100]
    assert not list(settings.finetuned("theirs"))
    assert not list(settings.finetuned("onnx"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"bugdet_s": 3}, "no key bugdet_s; did you mean budget_s"),
        ({"budget_s": "much"}, "budget_s must be a number"),
        ({"seeds": [1, 1]}, "must be different numbers"),
        ({"seeds": [1.5]}, "seeds must be a whole number, or a list"),
        ({"split": "train"}, "split: there is no train"),
        ({"rows": ["w3v"]}, "rows: there is no w3v; did you mean w2v"),
        ({"methods": {"a": {"titel": "A"}}}, r"methods\.a\.titel; did you mean title"),
        ({"methods": {"a": {"title": "A"}}}, r"methods\.a: give one of config, .* not none"),
        ({"methods": {"a": {"config": CONFIG, "onnx": "b"}}}, "not config and onnx"),
        ({"methods": {"a": {"random_of": "b"}}}, r"methods\.a\.random_of: there is no b"),
        ({"methods": {"a": {"config": "nowhere.yaml"}}}, "no file nowhere.yaml"),
        ({"tasks": {"dx": {"kind": "clasification", "corpora": "mine"}}}, "did you mean classification"),
        (
            {"tasks": {"dx": {"kind": "regression", "corpora": "nobody"}}},
            "there is no nobody; there are mine",
        ),
        (
            {"tasks": {"dx": {"kind": "regression", "corpora": "mine", "lead_sets": [13]}}},
            r"tasks\.dx\.lead_sets: ",
        ),
        ({"tasks": {"dx": {"corpora": "mine"}}}, r"tasks\.dx: kind must be given"),
        (
            {"tasks": {"dx": {"kind": "regression", "corpora": "mine", "finetune": True}}},
            "only classifications",
        ),
        ({"tasks": {"pretrain": {"kind": "regression", "corpora": "mine"}}}, "choose another name"),
        ({"corpora": {"mine": {"pth": "x"}}}, r"corpora\.mine\.pth; did you mean path"),
        ({"methods": 3}, "methods must be keys and values"),
    ],
)
def test_what_cannot_be_is_an_error_that_names_the_key(read, changes, told):
    with pytest.raises(ConfigError, match=told):
        read(**changes)


def test_a_file_that_is_none_is_an_error(tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="cannot be read"):
        Settings.read(tmp_path / "broken.yaml")
    with pytest.raises(ConfigError, match=r"no settings that ship: demo.*did you mean real"):
        find_settings("reel")


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_settings_that_ship_can_be_used(path):
    settings = Settings.read(find_settings(path.stem))
    trained = [method for method in settings.methods.values() if method.config]
    assert all(settings.updates(method) > 0 for method in trained)


def test_the_real_benchmark_compares_what_it_is_to_compare():
    settings = Settings.read(find_settings("real"))
    assert len(settings.rows) >= 12
    assert len(settings.tasks) >= 4
    assert len(settings.seeds) == 2
    assert settings.fractions == (10, 100)
    superclass = settings.tasks["superclass"]
    assert superclass.finetune
    assert superclass.lead_sets == ("12", "6", "3", "2", "1")


@pytest.mark.parametrize("name", ["experiment", "objectives"])
def test_the_experiments_of_the_examples_can_be_used(repo_dir, name):
    settings = Settings.read(repo_dir / "examples" / "lead_agnostic" / f"{name}.yaml")
    assert all(settings.updates(method) > 0 for method in settings.methods.values() if method.config)
