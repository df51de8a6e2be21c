"""Two levels, of sequences and of their segments: known values, and what must and must not matter."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from fairseq_signals.criterions.simclr import SimCLRCriterion, SimCLRCriterionConfig
from fairseq_signals.criterions.smd import SMDConfig, SMDCriterion
from fairseq_signals.criterions.vicreg import VICRegConfig, VICRegCriterion
from fairseq_signals.errors import ConfigError
from fairseq_signals.modules.segment_sequences import SegmentSequences, rows_of_sequences

HEADS = {"projection": "mlp", "dropout": 0.0, "attention_dropout": 0.0}
SEQUENCES = {**HEADS, "sequence_layers": 2, "sequence_dim": 6}


def criterion(task: object = None, **options: object) -> SMDCriterion:
    return SMDCriterion(SMDConfig(**options), task)


def sines(*shape: int, offset: float) -> torch.Tensor:
    """The sine of 0, 1, 2 ... plus an offset."""
    return torch.sin(torch.arange(math.prod(shape), dtype=torch.float64) + offset).view(shape)


@pytest.mark.parametrize(("variance", "loss"), [("sum", 17.129970), ("mean", 10.736807)])
def test_the_loss_of_two_views_of_four_items(variance, loss):
    z = torch.cat([sines(4, 3, offset=1.0), sines(4, 3, offset=0.5)])
    item, view = torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4)
    vicreg, nt_xent = criterion(loss="vicreg", variance=variance), criterion(temp=0.5)
    shuffled = torch.randperm(8)
    for rows in (slice(None), shuffled):
        assert float(vicreg.compare(z[rows], item[rows], view[rows])) == pytest.approx(loss, abs=1e-5)
        assert float(nt_xent.compare(z[rows], item[rows], view[rows])) == pytest.approx(1.172017, abs=1e-5)


@pytest.mark.parametrize("loss", ["nt_xent", "vicreg"])
def test_of_single_segments_the_components_are_the_plain_loss(make_contrastive, views, loss):
    batch = views(n_segments=1)
    plain = SimCLRCriterion(SimCLRCriterionConfig(), None)
    if loss == "vicreg":
        plain = VICRegCriterion(VICRegConfig(_name="vicreg"), None)
    model, sequential = make_contrastive(**HEADS), make_contrastive(**SEQUENCES)
    sequential.load_state_dict(model.state_dict(), strict=False)
    expected, n, _ = plain(model, batch)
    smd = criterion(loss=loss, global_weight=0.0, component_weight=1.0)
    found, n_found, _ = smd(sequential, batch)
    assert n_found == n == 3
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)


class Constant(torch.nn.Module):
    """Gives the same vector for all segments and sequences."""

    def forward(self, source: torch.Tensor, sequences: torch.Tensor, **_: object) -> SimpleNamespace:
        return SimpleNamespace(g=torch.ones(len(source), 3), sequences=torch.ones(len(sequences), 3))


def test_a_segment_is_compared_with_those_of_its_step_alone(views):
    whole = views(patients=(3, 5, 8, 9))
    short = (whole["id"] == 1) & (whole["segment"] == 1)
    batch = {key: value[~short] for key, value in whole.items() if key != "net_input"}
    batch["net_input"] = {"source": whole["net_input"]["source"][~short]}
    _, n, log = criterion()(Constant(), batch)
    # 2 N - 1 others: four sequences have a first step, three a second one
    assert float(log["component_loss"]) / n == pytest.approx((math.log(7) + math.log(5)) / 2, abs=1e-6)
    assert float(log["global_loss"]) / n == pytest.approx(math.log(7), abs=1e-6)
    assert float(log["loss"]) / n == pytest.approx(math.log(7) + 0.125 * math.log(35), abs=1e-6)


def test_rows_of_sequences_are_in_the_order_of_their_steps():
    sequence, step = torch.tensor([4, 1, 4, 1, 4, 7]), torch.tensor([2, 5, 0, 3, 1, 9])
    assert rows_of_sequences(sequence, step).tolist() == [[3, 1, -1], [2, 4, 0], [5, -1, -1]]


@torch.no_grad()
def test_what_is_behind_the_last_step_adds_nothing():
    summary, x = SegmentSequences(4, 6, 2), torch.randn(3, 4)
    alone = summary(x, torch.tensor([[0, 1]]))
    rows = torch.tensor([[0, 1, -1, -1], [2, 0, 1, 2]])
    assert torch.allclose(summary(x, rows)[0], alone[0], atol=1e-6)
    x = torch.cat([torch.full((1, 4), float("nan")), x])
    assert torch.allclose(summary(x, torch.tensor([[1, 2, -1]])), alone, atol=1e-6)


@torch.no_grad()
def test_a_sequence_knows_its_order_and_its_segments_do_not(make_contrastive, views):
    batch, model = views(), make_contrastive(**SEQUENCES)
    swapped = {**batch, "segment": 1 - batch["segment"]}
    logs = [criterion()(model, part)[2] for part in (batch, swapped)]
    assert float(logs[0]["component_loss"]) == pytest.approx(float(logs[1]["component_loss"]), rel=1e-6)
    assert logs[0]["global_loss"] != logs[1]["global_loss"]
    x, rows = torch.randn(2, 4), torch.tensor([[0, 1]])
    summary = SegmentSequences(4, 6, 2)
    assert (summary(x, rows) - summary(x, rows.flip(1))).abs().max() > 1e-3


def test_every_weight_has_a_gradient(make_contrastive, views):
    model = make_contrastive(**{**SEQUENCES, "projection": "mlp_norm"})
    loss, n, _ = criterion(loss="vicreg")(model, views())
    (loss / n).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ({"n_views": 1, "pairs": True}, {}, r"task\.views is 1"),
        ({"n_views": 2, "pairs": False}, {}, r"task\.segment_pairs is false"),
        ({"n_views": 2, "pairs": True}, {"temp": 0.0}, r"criterion\.temp must be > 0"),
        (
            {"n_views": 2, "pairs": True},
            {"component_weight": -1.0},
            r"criterion\.component_weight must be >= 0",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(task, options, message):
    with pytest.raises(ConfigError, match=message):
        SMDCriterion(SMDConfig(_name="smd", **options), SimpleNamespace(**task))


def test_a_model_without_sequences_is_refused(make_contrastive, views):
    with pytest.raises(ConfigError, match=r"needs model\.sequence_layers"):
        criterion()(make_contrastive(**HEADS), views())
