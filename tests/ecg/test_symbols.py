"""ECGs as text: a fixed grid of millivolts."""

import unicodedata

import numpy as np
import pytest

from fairseq_signals.ecg.symbols import MOST_LEVELS, VoltageGrid
from fairseq_signals.errors import ConfigError, SignalError

GRID = VoltageGrid()


def test_levels_are_written_and_read_without_loss():
    levels = np.arange(-50, 51) * 0.05
    text, n_clipped = GRID.write(levels)
    assert text == GRID.characters
    assert n_clipped == 0
    np.testing.assert_allclose(GRID.read(text), levels, rtol=0, atol=1e-12)
    assert GRID.read(text)[50] == 0


def test_a_sample_is_read_back_to_half_a_step_and_a_second_round_changes_nothing():
    samples = np.random.default_rng(1).uniform(-2.5, 2.5, 1000).astype(np.float32)
    text, n_clipped = GRID.write(samples)
    assert len(text) == 1000
    assert n_clipped == 0
    assert np.abs(GRID.read(text) - samples).max() <= 0.025 + 1e-7
    assert GRID.write(GRID.read(text)) == (text, 0)


def test_samples_beyond_the_grid_become_its_outer_levels_and_are_counted():
    text, n_clipped = GRID.write(np.array([-9.0, -2.52, 0.0, 2.52, 2.6]))
    assert n_clipped == 2
    np.testing.assert_allclose(GRID.read(text), [-2.5, -2.5, 0, 2.5, 2.5])


def test_what_is_no_number_has_no_place():
    with pytest.raises(SignalError, match="sample 1 is nan"):
        GRID.write(np.array([0.0, np.nan]))


def test_a_character_of_no_level_is_refused():
    with pytest.raises(SignalError, match="character 2 is 'a', which is none of the 101 levels"):
        GRID.read(GRID.characters[:2] + "a")


def test_no_character_is_a_blank_or_changes_with_its_neighbours():
    characters = VoltageGrid(2.55, 0.01).characters
    assert len(characters) == MOST_LEVELS - 1
    assert not characters.split()[1:]
    assert not any(map(unicodedata.combining, characters))


@pytest.mark.parametrize(("limit", "step"), [(2.5, 0.0), (2.5, -1.0), (1.0, 0.3), (2.5, 0.005), (0.01, 0.05)])
def test_a_grid_that_cannot_be_is_refused(limit, step):
    with pytest.raises(ConfigError, match="must be a multiple of the step"):
        VoltageGrid(limit, step)
