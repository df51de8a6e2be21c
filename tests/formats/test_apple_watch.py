"""ECGs that the Apple Watch exports are read in whatever language and number format its phone has."""

import numpy as np
import pytest

from fairseq_signals import read_recording

SIGNAL_UV = np.round(np.cumsum(np.random.default_rng(0).normal(0, 9, 1200)), 3)
#: Keys in the order of the export, the classification, the rate, the lead, and how a number is written.
LANGUAGES = {
    "English": (
        "Name,Jane Doe\nDate of Birth,\"Jan 8, 2002\"\nRecorded Date,{date}\nClassification,{said}\n"
        "Symptoms,\n"
        "Software Version,1.90\nDevice,\"Watch7,12\"\nSample Rate,{rate}\n\n\n"
        "Lead,Lead I\nUnit,\u00b5V\n\n",
        "Sinus Rhythm", "512 hertz", "{:.3f}",
    ),
    "German": (
        "Name\nGeburtstag,\"27.03.1987\"\nAufzeichnungsdatum,{date}\nKlassifizierung,{said}\nSymptome,\n"
        "Softwareversion,1.13\nGer\u00e4t,\"Watch4,2\"\nMessrate,{rate}\n\n\nAbleitung,Ableitung I\n"
        "Einheit,\u00b5V\n\n",
        "Sinusrhythmus", "511,562\u00a0Hertz", "{:.3f}",
    ),
    "quoted": (
        "Name,\"M\"\nGeburtsdatum,\"1.1.90\"\nDatum,{date}\nKlassifizierung,{said}\nSymptome,Ohne\n"
        "Softwareversion,2.0\nGer\u00e4t,\"Watch6,7\"\nAbtastrate,\"{rate}\"\nAbleitung,Ableitung I\n"
        "Einheit,\u03bcV\n\n",
        "Vorhofflimmern", "511,562 Hertz", '"{:.3f}"',
    ),
    "Japanese": (
        "\u540d\u524d,\u592a\u90ce\n\u751f\u5e74\u6708\u65e5,\"02/03/1997\"\n\u8a18\u9332\u65e5,{date}\n\u5206\u985e,{said}\n\u75c7\u72b6,\n"
        "\u30bd\u30d5\u30c8\u30a6\u30a7\u30a2\u30d0\u30fc\u30b8\u30e7\u30f3,1.13\n\u30c7\u30d0\u30a4\u30b9,\"Watch4,2\"\n"
        "\u30b5\u30f3\u30d7\u30eb\u30ec\u30fc\u30c8,{rate}\n\n\n\u30ea\u30fc\u30c9,\u30ea\u30fc\u30c9I\n\u5358\u4f4d,\u00b5V\n\n",
        "\u6d1e\u8abf\u5f8b", "513.406\u30d8\u30eb\u30c4", "{:.3f}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_export_is_read_in_its_language(language, tmp_path):
    header, said, rate, form = LANGUAGES[language]
    mark = "," if "," in rate else "."
    path = tmp_path / "ecg_2026-05-30.csv"
    date = "2026-05-30 16:32:18 -0700"
    lines = [form.format(value).replace(".", mark) for value in SIGNAL_UV]
    path.write_text(
        header.format(date=date, said=said, rate=rate) + "\n".join(lines) + "\n", encoding="utf-8"
    )
    recording = read_recording(path)
    assert recording.leads == ("I",)
    assert recording.fs == (512 if language == "English" else float(rate[:7].replace(",", ".")))
    np.testing.assert_allclose(recording.signal_mv[0], SIGNAL_UV / 1000, atol=2e-5)
    assert recording.report == said
    assert not any("cut off" in note for note in recording.notes)  # a blank line above is no sample
    assert recording.subject.other == (("recorded", date),)
    assert (recording.subject.patient_id, recording.subject.age) == (None, None)  # no name, no birth date
