"""The recordings of a benchmark: a user's download, the small collection, or none."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from fairseq_signals.benchmark.collection import write_table
from fairseq_signals.benchmark.corpora import KNOWN, folds, stores, usable
from fairseq_signals.benchmark.entries import Corpus, Task
from fairseq_signals.benchmark.settings import Settings
from fairseq_signals.errors import ConfigError
from fairseq_signals.installed import find_scripts


def settings(corpora: dict[str, Corpus], **changes: object) -> Settings:
    return replace(Settings({}, {}, corpora), out="/out", **changes)


def test_every_known_corpus_has_a_script_and_its_folders_in_the_collection_too():
    for name, known in KNOWN.items():
        scripts = {known["script"], *(entry["script"] for entry in known.get("collection", ()))}
        assert scripts <= set(find_scripts("preprocess")), name


def test_a_download_is_read_by_its_script_and_the_collection_by_its_tables():
    own = stores(settings({"ptb-xl": Corpus(path="/data/ptb-xl")}))
    assert [(store.name, store.script, str(store.path)) for store in own] == [
        ("ptb-xl", "ptbxl", "/data/ptb-xl")
    ]
    ours = stores(settings({"ecg-id": Corpus()}, shared="/shared"))
    assert [store.name for store in ours] == ["ecg-id", "ecg-id_2"]
    assert {store.corpus for store in ours} == {"ecg-id"}
    command = ours[1].command(settings({}, shared="/shared"))
    assert "/shared/more_ecg/ecgid" in command
    assert command[command.index("--metadata") + 1] == "/out/tables/ecg-id_2.csv"


def test_the_place_of_a_corpus_stands_in_its_options():
    corpus = Corpus(path="/raw", script="physionet2021", options=("--patients", "{path}/who.csv"))
    chosen = settings({"mine": corpus})
    assert stores(chosen)[0].command(chosen)[-1] == "/raw/who.csv"


def test_published_folds_are_by_the_own_column_or_by_the_table_of_the_collection():
    assert folds(settings({"ptb-xl": Corpus(path="/a")}), "ptb-xl") == ["--split-by", "strat_fold"]
    shared = settings({"ptb-xl": Corpus()}, shared="/shared")
    assert folds(shared, "ptb-xl") == ["--split-table", "/out/tables/ptb-xl.csv"]
    with pytest.raises(ConfigError, match=r"corpora\.ludb: it has no published folds"):
        folds(settings({"ludb": Corpus(path="/a")}), "ludb")


def test_recordings_that_are_not_there_stop_a_task_and_are_left_out_of_pretraining(tmp_path):
    (tmp_path / "here").mkdir()
    corpora = {"ludb": Corpus(path=str(tmp_path / "here")), "code15": Corpus(path=str(tmp_path / "gone"))}
    there, absent = usable(settings(corpora))
    assert [store.name for store in there] == ["ludb"]
    assert [store.name for store in absent] == ["code15"]
    task = Task("age", "regression", ("ludb", "code15"))
    with pytest.raises(
        ConfigError, match=r"tasks\.age needs code15, but there is no .*gone.*corpora\.code15\.path"
    ):
        usable(settings(corpora, tasks={"age": task}))


def test_a_corpus_that_nobody_knows_needs_a_place_and_a_script():
    with pytest.raises(ConfigError, match="did you mean ptb-xl"):
        stores(settings({"ptbxl": Corpus(path="/a")}))
    with pytest.raises(ConfigError, match=r"corpora\.ludb: there is no path"):
        stores(settings({"ludb": Corpus()}))


@pytest.fixture
def collection(tmp_path) -> Path:
    """A collection of two PTB-XL records, one of CinC 2017 and one without an age."""
    real, more = tmp_path / "real_ecg", tmp_path / "more_ecg"
    (real / "ptb_xl").mkdir(parents=True)
    more.mkdir()
    head = "path,dataset,patient,age,sex,labels\n"
    (real / "MANIFEST.csv").write_text(
        head
        + "ptb_xl/records100/00000/00002_lr,ptb_xl/records100,ptbxl-7,19.0,Male,"
        + "super_class: STTC MI | sub_class: ISCA | form: NDT | rhythm: SBRAD\n"
        + "ptb_xl/records100/00000/00003_lr,ptb_xl/records100,ptbxl-8,,,rhythm: SR\n"
        + "ptb_xl/records500/00000/00002_hr,ptb_xl/records500,ptbxl-7,19.0,Male,super_class: MI\n"
    )
    (real / "ptb_xl" / "ptbxl_labels.csv").write_text("ecg_id,patient_id,strat_fold\n2,7,10\n3,8,1\n")
    (more / "MANIFEST.csv").write_text(head + "cinc2017/A00004,cinc2017,,NaN,,rhythm=AF\n")
    return tmp_path


def test_tables_of_the_collection_tell_patients_labels_and_folds(collection, tmp_path):
    write_table(collection, "real_ecg/ptb_xl/records100", tmp_path / "ptb-xl.csv")
    write_table(collection, "more_ecg/cinc2017", tmp_path / "cinc2017.csv")
    rows = {}
    for name in ("ptb-xl", "cinc2017"):
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            rows[name] = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows["ptb-xl"] == [
        ("00000/00002_lr", "ptbxl-7", "19.0", "Male", "STTC|MI|SBRAD", "10"),
        ("00000/00003_lr", "ptbxl-8", "", "", "SR", "1"),
    ]
    assert rows["cinc2017"] == [("A00004", "", "", "", "AF", "")]


def test_a_collection_without_its_table_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"MANIFEST\.csv: the table of the collection cannot be read"):
        write_table(tmp_path, "more_ecg/cinc2017", tmp_path / "x.csv")
