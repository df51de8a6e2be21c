"""What lead masks leave: the masks' probabilities, and closed forms on leads without and with relations."""

from __future__ import annotations

import re
import runpy
import sys

import numpy as np
import pytest

from fairseq_signals.ecg.leads import complete_leads
from fairseq_signals.transforms.random_lead_mask import RandomLeadMask


@pytest.fixture(scope="module")
def script(repo_dir):
    return runpy.run_path(str(repo_dir / "examples" / "w2v_cmsc" / "lead_information.py"))


@pytest.fixture
def eight_dimensions():
    """Covariances (3, 12, 12) of recordings whose eight independent leads have nothing in common."""
    rng = np.random.default_rng(0)
    leads = complete_leads(np.eye(8))
    return np.stack([leads @ np.diag(rng.uniform(0.5, 2, 8)) @ leads.T for _ in range(3)])


@pytest.mark.parametrize(
    ("selection", "value"), [("random", 0.3), ("independent", 0.3), ("conditional", (4, 5))]
)
def test_masks_are_as_probable_as_they_are_drawn(script, selection, value):
    options = {"mask_leads_condition" if selection == "conditional" else "mask_leads_prob": value}
    mask, rng, n = RandomLeadMask(selection, **options), np.random.default_rng(0), 3000
    drawn = np.stack([mask.draw(12, rng) for _ in range(n)])
    masks, probability = script["MASKS"], script["probabilities"](selection, value)
    assert probability.sum() == pytest.approx(1)

    def statistics(of: np.ndarray) -> np.ndarray:
        """Masks of leads and of pairs, and whether so many limb and so many chest leads are masked."""
        counts = of[:, :6].sum(axis=1) * 7 + of[:, 6:].sum(axis=1)
        pairs = (of[:, :, None] & of[:, None]).reshape(len(of), -1)
        return np.concatenate([of, pairs, counts[:, None] == np.arange(49)], axis=1)

    expected = probability @ statistics(masks)
    bound = 5 * np.sqrt(expected * (1 - expected).clip(min=0) / n) + 1e-9
    assert (np.abs(statistics(drawn).mean(axis=0) - expected) <= bound).all()


def test_what_follows_from_the_relations_has_its_closed_form(script):
    shares = script["by_algebra"](script["probabilities"]("random", 0.5))
    limb = (6 * 1 + 57 * 2) / 64 / 2
    assert list(shares.values()) == pytest.approx([(2 * limb + 3) / 8, limb, 1 - 7 / 64, 1 - 36 / 64 / 3])
    for p in (0.25, 0.5, 0.75):
        shares = script["by_algebra"](script["probabilities"]("independent", p))
        assert list(shares.values()) == pytest.approx([1 - p, 1 - p, (1 - p) ** 2, 0])


def test_explained_is_all_of_what_is_given_and_nothing_of_what_is_not(script, eight_dimensions):
    share, masks = script["explained"](eight_dimensions), script["MASKS"]
    two_left = (~masks[:, :6]).sum(axis=1) >= 2
    given = masks[:, :6] & two_left[:, None]
    assert share[:, :6][given] == pytest.approx(1, abs=1e-6)
    assert not share[:, 6:].round(6).any()
    assert not share[~masks].any()
    none_left = ~two_left & masks[:, :6].all(axis=1)
    assert share[none_left, :6] == pytest.approx(0, abs=1e-6)
    # of one dimension: II of I, which has nothing in common with it, and III = II - I of I
    only_i = np.flatnonzero((masks == [False, *[True] * 11]).all(axis=1))
    variance = np.diagonal(eight_dimensions, axis1=1, axis2=2)
    expected = (variance[:, 0] / (variance[:, 0] + variance[:, 1])).mean()
    assert share[only_i, 1:3] == pytest.approx(np.array([[0, expected]]), abs=1e-6)
    assert script["deviation"](eight_dimensions) == pytest.approx(0, abs=1e-12)


def test_recordings_of_a_folder_become_a_table_and_the_others_are_counted(
    script, write_wfdb, tmp_path, capsys, monkeypatch
):
    rng = np.random.default_rng(0)
    for i in range(3):
        signal = complete_leads(rng.integers(-500, 500, (8, 600)) * 2)
        signal[7] *= i > 0  # flat in the first
        write_wfdb(tmp_path / "three", str(i), signal.astype(np.int16))
    monkeypatch.setattr(sys, "argv", ["lead_information.py", str(tmp_path / "three")])
    assert script["main"]() == 0
    out = capsys.readouterr().out
    assert "three: 2 recordings, 1 left out; limb leads deviate from their relations by " in out
    cells = re.findall(r"^\| `random`, 0.5 \| (.*) \|$", out, re.MULTILINE)[-1].split(" | ")
    assert float(cells[0]) > 0.8 > 0.1 > float(cells[1])
    (tmp_path / "three" / "0.hea").replace(tmp_path / "0.hea")
    (tmp_path / "three" / "0.dat").replace(tmp_path / "0.dat")
    monkeypatch.setattr(sys, "argv", ["lead_information.py", str(tmp_path / "0.hea")])
    assert script["main"]() == 1
    assert "0.hea: none of 1 recordings has twelve leads that are not flat" in capsys.readouterr().err
