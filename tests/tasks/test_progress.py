"""The time left is what the remaining updates take at the rate so far."""

import pytest
from fairseq.logging import metrics
from omegaconf import OmegaConf

from fairseq_signals.tasks import progress
from fairseq_signals.tasks.progress import Progress, planned_updates


@pytest.mark.parametrize(
    ("optimization", "updates"),
    [
        ({"max_update": 250}, 250),
        ({"max_update": 250, "max_epoch": 0}, 250),
        ({"max_update": 0, "max_epoch": 3, "update_freq": [1]}, 30),
        ({"max_update": 250, "max_epoch": 3, "update_freq": [4]}, 9),  # 10 batches are 3 updates
        ({"max_update": 5, "max_epoch": 3}, 5),
        ({"max_update": 0, "max_epoch": 0}, None),
    ],
)
def test_the_end_that_comes_first_is_planned_for(optimization, updates):
    assert planned_updates(OmegaConf.create({"optimization": optimization}), batches=10) == updates


def test_a_continued_training_counts_from_where_it_began_here(monkeypatch):
    clock = iter([0.0, 60.0, 150.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    counted, left = Progress(total=110), []
    with metrics.aggregate(new_root=True) as logged:
        for done in (100, 102):
            counted.begin_update(done)
            left.append(logged["minutes_left"].fn(logged))
    assert left == [9.0, 5.8]  # one update in a minute, 9 to come; 3 in 2.5 minutes, 7 to come


def test_without_a_planned_end_nothing_is_told():
    with metrics.aggregate(new_root=True) as logged:
        Progress(total=None).begin_update(0)
    assert "minutes_left" not in logged
