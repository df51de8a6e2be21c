"""`examples/paper/cost.py`: hours by rule."""

from __future__ import annotations

import pytest

COSTS = {
    "source": "made up",
    "pretrain": {"gpu_h": {"default": 10, "3kg": 20}},
    "finetune": {"gpu_h": {"classification": 2, "identification": 1}, "cpu_h": 0.5},
    "manifests": {"cpu_h": 0.25},
}


@pytest.mark.parametrize(
    ("rule", "wildcards", "expected"),
    [
        ("manifests", {}, {"cpu_h": 0.25}),
        ("pretrain", {"method": "w2v"}, {"gpu_h": 10}),
        ("pretrain", {"method": "3kg"}, {"gpu_h": 20}),
        ("finetune", {"method": "3kg", "task": "classification", "leads": "6"}, {"gpu_h": 2, "cpu_h": 0.5}),
        ("finetune", {"task": "identification", "leads": "12+6+3"}, {"gpu_h": 3, "cpu_h": 1.5}),
        ("table", {"number": "1"}, {}),
    ],
)
def test_a_job_costs_its_rules_figure_once_for_each_lead_set(paper, rule, wildcards, expected):
    assert paper.cost.job_cost(COSTS, rule, wildcards) == expected


def test_the_table_adds_up_by_rule_and_in_all(paper, scale, tmp_path):
    experiment = paper.experiment.Experiment({**scale("demo"), "cost": COSTS}, tmp_path)
    jobs = [
        ("manifests", {}),
        ("pretrain", {"method": "3kg"}),
        ("pretrain", {"method": "w2v"}),
        ("table", {}),
    ]
    text = paper.cost.cost_table(experiment, jobs)
    assert "demo scale, and its cost (made up)" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()[2:]}
    assert rows["pretrain"] == ["2", "0.00", "30.00"]
    assert rows["total"] == ["4", "0.25", "30.00"]


def test_the_time_on_these_cores_is_told_where_no_gpu_is_needed(paper, scale, tmp_path):
    experiment = paper.experiment.Experiment({**scale("demo"), "cost": COSTS}, tmp_path)
    assert "about 15 minutes on 2 free cores" in paper.cost.cost_table(experiment, [("manifests", {})] * 2, 2)
    assert "free cores" not in paper.cost.cost_table(experiment, [("pretrain", {"method": "w2v"})], 2)


@pytest.mark.parametrize("name", ["demo", "small", "paper"])
def test_every_scale_has_figures_for_what_takes_long(scale, name):
    costs = scale(name)["cost"]
    assert costs["source"]
    for rule in ("pretrain", "finetune", "evaluate", "manifests", "store"):
        assert set(costs[rule]) <= {"cpu_h", "gpu_h"}
        assert costs[rule]
