"""Questions of known classes: true answers, words of training and of tests, and what words alone tell."""

from __future__ import annotations

import re

import numpy as np
import pytest

from fairseq_signals.text.questions import (
    BOTH_QUERY,
    NEW_QUERY,
    SINGLE_CHOOSE,
    SINGLE_QUERY,
    WORDINGS,
    KnownECG,
    QuestionDrawing,
)

NAMES = ["af", "lbbb", "stach", "pac"]
YES, NO = 4, 5


def ecgs(n=300, seed=0):
    rng = np.random.default_rng(seed)
    share = np.array([0.5, 0.3, 0.3, 0.1])
    made = [
        KnownECG(f"r{i}", f"p{i // 2}", frozenset(np.flatnonzero(rng.random(4) < share))) for i in range(n)
    ]
    return [KnownECG(e.record, e.patient, frozenset(map(int, e.classes)) or frozenset([0])) for e in made]


@pytest.fixture(scope="module")
def drawn():
    known = ecgs()
    rng = np.random.default_rng(1)
    return {e.record: e for e in known}, list(QuestionDrawing(known, NAMES, 0, rng).draw(3))


def test_every_type_is_asked_and_answers_are_true(drawn):
    known, questions = drawn
    assert {one.type for one in questions} == set(WORDINGS)
    for one in questions:
        first, *more = (known[name].classes for name in one.ecgs)
        true = first if not more else (more[0] - first if "consecutive" in one.type else more[0] & first)
        asked = [i for i, name in enumerate(NAMES) if name in re.findall(r"\w+", one.text)]
        if one.type.endswith("verify"):
            (about,) = asked
            assert one.answers == ((YES,) if about in true else (NO,)), one
            assert one.valid == (YES, NO)
        elif one.type == SINGLE_CHOOSE:
            assert one.valid == tuple(asked)
            assert one.answers == tuple(i for i in asked if i in true)
        else:
            assert one.valid == (0, 1, 2, 3)
            assert one.answers == tuple(sorted(true))


def test_new_are_two_of_a_patient_in_their_order_and_both_are_of_strangers(drawn):
    known, questions = drawn
    for one in questions:
        if "comparison" in one.type:
            first, second = (known[name] for name in one.ecgs)
            assert (first.patient == second.patient) == ("consecutive" in one.type)
            if "consecutive" in one.type:
                assert int(first.record[1:]) < int(second.record[1:])


def test_swapped_ecgs_have_other_news_and_the_same_in_common(drawn):
    known, questions = drawn
    for one in questions:
        if one.type in (NEW_QUERY, BOTH_QUERY):
            first, second = (known[name].classes for name in one.ecgs)
            swapped = first - second if one.type == NEW_QUERY else first & second
            if one.type == BOTH_QUERY:
                assert set(one.answers) == swapped
            elif one.answers and set(one.answers) != swapped:
                return
    pytest.fail("no pair has other news when swapped")


def test_two_ecgs_the_other_way_round_have_other_news_and_the_same_in_common():
    one, other = frozenset({0, 2}), frozenset({1, 2})

    def answers(kind, patients, *classes):
        """Of questions of this kind about two ECGs, drawn several times."""
        known = [KnownECG(f"r{i}", patient, has) for i, (patient, has) in enumerate(zip(patients, classes))]
        drawings = [QuestionDrawing(known, NAMES, 0, np.random.default_rng(seed)) for seed in range(9)]
        return {asked.answers for drawing in drawings for asked in drawing.draw(1) if asked.type == kind}

    assert answers(NEW_QUERY, "pp", one, other) == {(1,)}
    assert answers(NEW_QUERY, "pp", other, one) == {(0,)}
    assert answers(BOTH_QUERY, "pq", one, other) == answers(BOTH_QUERY, "pq", other, one) == {(2,)}


def test_no_split_has_a_wording_of_another():
    for of_splits in WORDINGS.values():
        assert len(set().union(*of_splits)) == sum(map(len, of_splits))
    known = ecgs(60)
    texts = [
        {one.text for one in QuestionDrawing(known, NAMES, wordings, np.random.default_rng(2)).draw(3)}
        for wordings in range(3)
    ]
    assert len(set().union(*texts)) == sum(map(len, texts))


def test_strangers_have_a_class_in_common_more_often_than_any_two_would(drawn):
    known, questions = drawn
    pairs = [one for one in questions if one.type == BOTH_QUERY]
    classes = [each.classes for each in known.values()]
    by_chance = np.mean([bool(a & b) for a in classes for b in classes])
    expected = (1 + by_chance) / 2
    assert np.mean([bool(one.answers) for one in pairs]) == pytest.approx(expected, abs=0.08)


def test_words_alone_do_not_tell_yes_from_no(drawn):
    _, questions = drawn
    for kind in (kind for kind in WORDINGS if kind.endswith("verify")):
        found = [one for one in questions if one.type == kind]
        assert len(found) > 60
        for name in NAMES:
            answers = [one.answers for one in found if name in re.findall(r"\w+", one.text)]
            assert answers.count((YES,)) == answers.count((NO,))


def test_the_same_seed_asks_the_same():
    known = ecgs(40)
    first, second = (
        list(QuestionDrawing(known, NAMES, 0, np.random.default_rng(3)).draw(1)) for _ in range(2)
    )
    assert first == second
    assert sum(one.type == SINGLE_QUERY for one in first) == 40
