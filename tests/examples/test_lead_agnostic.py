"""The experiment of `examples/lead_agnostic`: its intervals, equal cost, and steps that run once."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

MODULES = ("data", "frozen", "jobs", "run", "scores", "settings", "tables")


@pytest.fixture(scope="module")
def scripts(repo_dir):
    """The files of the experiment as modules."""
    folder = str(repo_dir / "examples" / "lead_agnostic")
    before, path = {name: sys.modules.pop(name, None) for name in MODULES}, list(sys.path)
    sys.path.insert(0, folder)
    yield {name: importlib.import_module(name) for name in MODULES}
    sys.path[:] = path
    for name, module in before.items():  # other examples have files of the same names
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module


SETS = ("12", "6", "3", "2", "1", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.fixture
def scored(tmp_path):
    """`scored(name, quality)`: a file of scores of 60 recordings, the better the higher the quality."""
    labels = np.arange(60)[:, None] % 3 == np.arange(2)

    def write(name: str, quality: float) -> Path:
        noise = np.random.default_rng(len(name)).normal(size=(len(SETS), 60, 2))
        logits = quality * labels + noise
        patients = np.array([f"p{i // 2}" for i in range(60)])
        arrays = {
            "anew": logits,
            "once": logits,
            "labels": labels,
            "patients": patients,
            "sets": np.array(SETS),
        }
        known = {f"dx.{key}": value for key, value in arrays.items()}
        np.savez(tmp_path / f"{name}.npz", **known)
        return tmp_path / f"{name}.npz"

    return write


def test_a_difference_of_the_same_scores_is_nothing_in_every_draw(scripts, scored):
    measured = scripts["scores"].Measured
    one, same = (measured([scored("a", 1.0)], "dx", "anew", "12", seed=seed) for seed in (0, 1))
    assert one.above(same) == (0.0, 0.0, 0.0)


def test_the_mean_over_lead_sets_is_that_of_their_values(scripts, scored):
    path, measured = scored("a", 1.0), scripts["scores"].Measured
    few = measured([path], "dx", "once", scripts["scores"].FEW)
    assert few.value == pytest.approx(np.mean([measured([path], "dx", "once", n).value for n in "321"]))
    each = measured([path], "dx", "once", scripts["scores"].ALONE)
    alone = [measured([path], "dx", "once", lead).value for lead in ("1", *SETS[5:])]
    assert len(alone) == 12
    assert each.value == pytest.approx(np.mean(alone))


def test_seeds_that_disagree_widen_the_interval(scripts, scored):
    measured = scripts["scores"].Measured
    worse, better = scored("a", 0.5), scored("bb", 3.0)
    both = measured([worse, better], "dx", "anew", "12")
    alone = [measured([path], "dx", "anew", "12") for path in (worse, better)]
    assert both.value == pytest.approx(np.mean([each.value for each in alone]))
    low, high = both.interval()
    assert low < alone[0].value + 0.05
    assert high > alone[1].value - 0.05
    assert both.above(both)[0] == 0


def test_patients_are_drawn_not_recordings(scripts, scored):
    statistic = scripts["scores"].statistic(
        scripts["scores"].read_scores(scored("a", 1.0)), "dx", "anew", "12"
    )
    assert statistic.n_patients == 30


def test_updates_are_the_budget_by_the_cost_of_one(scripts):
    settings = scripts["settings"].Settings.read()
    for method in settings.methods.values():
        if not method.random_of:
            spent = settings.updates(method) * method.seconds
            if method.start:
                start = settings.methods[method.start]
                spent += settings.updates(start) * start.seconds
            budget = settings.budget_s if method.row else method.share * settings.budget_s
            assert spent == pytest.approx(budget, abs=2 * method.seconds)
    assert {settings.baseline, settings.noise} <= set(settings.methods)


def test_a_step_runs_once_and_again_when_its_command_changes(scripts, tmp_path):
    Job, Jobs = scripts["jobs"].Job, scripts["jobs"].Jobs
    made = tmp_path / "made"
    count = [sys.executable, "-c", f"open({str(made)!r}, 'a').write('x')"]
    check = [sys.executable, "-c", f"assert open({str(made)!r}).read()"]
    steps = [Job("check", check, ["count"]), Job("count", count)]
    for expected in ("x", "x"):
        Jobs(tmp_path / "logs", 2).run(steps)
        assert made.read_text() == expected
    Jobs(tmp_path / "logs", 2).run([Job("count", [*count, "again"])])
    assert made.read_text() == "xx"


def test_a_step_that_fails_names_its_log_and_is_not_done(scripts, tmp_path):
    Job, Jobs = scripts["jobs"].Job, scripts["jobs"].Jobs
    step = Job("bad", [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(SystemExit, match=r"bad failed; see .*bad\.log"):
        Jobs(tmp_path, 1).run([step, Job("after", step.command, ["bad"])])
    assert not Jobs(tmp_path, 1).is_done(step)


def test_trials_never_read_the_test_part_but_through_fold_10(scripts, tmp_path):
    run, settings = scripts["run"], scripts["settings"].Settings.read()
    jobs = list(run.Experiment(settings, tmp_path, "valid").jobs(list(settings.methods), [1], tuned=True))
    assert not any("test" in argument.split("/") for job in jobs for argument in job.command)
    places = {job.name for job in jobs} | {"manifests-check"}
    assert all(set(job.needs) <= places for job in jobs)


@pytest.mark.parametrize("experiment", ["experiment", "objectives"])
def test_every_placeholder_of_a_page_is_filled(scripts, experiment):
    page, settings = scripts["tables"], scripts["settings"].Settings.read(experiment)
    text = (page.CONFIG / f"{settings.page}.md").read_text(encoding="utf-8")
    names = {"sizes", "costs", "findings", "other", "gains", "fold"} | {
        f"{how}{suffix}" for how in ("anew", "once", "tuned") for suffix in ("", "_differences")
    }
    used = {part.split("}")[0] for part in text.split("{")[1:]}
    assert used <= names
    assert used >= {"gains"} if experiment == "objectives" else used == names - {"gains"}


def test_a_method_is_compared_with_its_own_encoder_untrained(scripts, scored, tmp_path):
    run, settings = scripts["run"], scripts["settings"].Settings.read("objectives")
    assert {m.random_of for m in settings.methods.values()} - {""} == {
        name for name, m in settings.methods.items() if not m.random_of
    }
    experiment = run.Experiment(settings, tmp_path, "valid")
    for name, quality in {"mae": 3.0, "mae_start": 0.2}.items():
        place = experiment.scores(name, 1)
        place.parent.mkdir(exist_ok=True)
        scored(name, quality).rename(place)
    log = tmp_path / "runs" / "mae-1" / "hydra_train.log"
    log.parent.mkdir(parents=True)
    told = "[train_inner][INFO] - epoch 1: 50 / 74 loss={}, reconstruction_loss={}, zero_loss=0.99, lr=2e-05"
    log.write_text("\n".join((told.format(1.0, 1.0), told.format(0.5, 0.25), "[train][INFO] - end")))
    head, _, row = scripts["tables"].Page(experiment, ["mae"], [1]).gains().splitlines()
    cells = dict(zip(head.split(" | "), row.split(" | ")))
    assert (cells["updates"], cells["loss"], cells["of guessing"]) == ("857", "0.250", "0.990")
    assert cells["above random weights, 12"].startswith("**+0.")
