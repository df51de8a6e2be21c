"""Of sets of channels in one file, those over the same time are joined, and the others are named."""

import numpy as np
import pytest

from fairseq_signals.ecg.lead_names import parse_lead_names
from fairseq_signals.ecg.leads import CHEST_LEADS, LEADS, LIMB_LEADS
from fairseq_signals.formats.assemble import Channel
from fairseq_signals.formats.options import ReadOptions
from fairseq_signals.formats.parts import Part, assemble_parts

ROWS = [LEADS[k : k + 3] for k in range(0, 12, 3)]  # of a page of 3 x 4 leads


def part(names, seconds, start_s=None, fs=250, label=None, original=True):
    n_samples = round(seconds * fs)

    def read():
        t = np.arange(n_samples) / fs + (start_s or 0)
        return [
            Channel(name, np.rint(500 * np.sin(9 * t + k)).astype(int), 0.001) for k, name in enumerate(names)
        ]

    return Part(label or "+".join(names), names, fs, n_samples, read, start_s, original)


def join(*parts, **options):
    return assemble_parts("r", parts, "sets", options=ReadOptions(**options))


@pytest.mark.parametrize(
    ("limb", "chest"), [({}, {}), ({"fs": 500}, {}), ({"start_s": 3.0}, {"start_s": 3.0})]
)
def test_complementary_parts_over_the_same_time_are_one_recording(limb, chest):
    record = join(part(CHEST_LEADS, 10, **chest), part(LIMB_LEADS, 10, **limb))
    assert (record.leads, record.fs, record.duration_s) == (LEADS, limb.get("fs", 250), 10)
    assert record.notes[0] == "read are 2 of its 2 sets: V1+V2+V3+V4+V5+V6, I+II+III+aVR+aVL+aVF"
    assert not record.faults


def test_parts_that_begin_or_end_a_moment_apart_are_cut_to_the_time_they_share():
    record = join(part(("I",), 10, 0.02), part(("V1",), 9.98, 0.0))
    assert record.n_samples == 9.96 * 250
    np.testing.assert_array_equal(record.signal[0], record.signal[1])
    assert "parts that begin or end up to 40 ms apart are cut to the time they share" in record.notes


@pytest.mark.parametrize("says_when", [True, False])
@pytest.mark.parametrize("strips", [("II",), ("II", "V1", "V5")])
def test_of_a_page_of_leads_that_follow_one_another_the_rhythm_strips_are_read(says_when, strips):
    pieces = [part(row, 2.5, 2.5 * k if says_when else None) for k, row in enumerate(ROWS)]
    record = join(*pieces, *(part((lead,), 10, 0 if says_when else None) for lead in strips))
    assert (record.leads, record.duration_s) == (strips, 10)
    assert [lead for lead, _ in record.faults] == [lead for lead in LEADS if lead not in strips]
    assert dict(record.faults)["V6"] == (
        "in V4+V5+V6, recorded at another time: 7.5 s to 10 s; what is read: 0 s to 10 s"
    )


def test_without_a_strip_the_first_piece_is_read():
    record = join(*(part(leads, 5, 5.0 * k) for k, leads in enumerate((LIMB_LEADS, CHEST_LEADS))))
    assert record.leads == LIMB_LEADS
    assert [lead for lead, _ in record.faults] == list(CHEST_LEADS)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([part(("I",), 60), part(("I", "II"), 10)], "I+II"),
        ([part(("I", "II"), 5), part(("II", "I"), 6)], "II+I"),
        ([part(("II", "I"), 10), part(("I", "II"), 6, fs=500)], "I+II"),  # the most samples
        ([part(("I", "II"), 6, 0, label="a"), part(("I", "II"), 6, 9, label="b")], "a"),
        ([part(("II", "V1"), 10)._replace(fs=0, label="no rate"), part(("I",), 6)], "I"),
        ([part(LEADS, 9, original=False, label="derived"), part(("I",), 6)], "I"),
        ([part(LEADS, 10, 0, label="a"), part(LEADS, 10, 20, label="b"), part(("II",), 60, 0)], "a"),
    ],
)  # fmt: skip
def test_of_other_times_most_leads_then_the_most_samples_then_the_first_is_read(parts, expected):
    assert join(*parts).notes[0] == f"read are 1 of its {len(parts)} sets: {expected}"


def test_whatever_is_left_out_is_named():
    record = join(part(("I", "II"), 10), part(("II",), 10), part(("I", "X"), 1), part(("PLETH",), 10))
    assert record.ignored == (
        ("II of II", "over the same time the same leads are read"),
        ("I of I+X", "it lasts 1 s, and what is read 10 s"),
        ("X", "not one of the 12 leads"),
        ("PLETH", "not one of the 12 leads"),
    )


def test_what_the_user_says_of_names_is_of_all_channels_of_the_file():
    names = parse_lead_names("V1,V2,I")
    assert join(part(("a", "b"), 10), part(("c",), 10), lead_names=names).leads == ("I", "V1", "V2")
    assert join(part(("C1",), 10), part(("I", "II"), 10)).leads == ("I", "II", "V1")


def test_thousands_of_parts_are_told_in_a_few_sentences():
    record = join(*(part(("I", "II"), 10, 10.0 * k) for k in range(3000)))
    assert record.leads == ("I", "II")
    assert len(record.ignored) == 11
    assert record.ignored[-1] == ("2989 more parts", "likewise")
