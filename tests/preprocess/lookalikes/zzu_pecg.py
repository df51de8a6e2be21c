"""A folder in the layout of ZZU pECG: a table of attributes, some records with 9 leads."""

from pathlib import Path

from fairseq_signals.ecg.leads import LEADS

NINE = [lead for lead in LEADS if lead not in ("V2", "V4", "V6")]
COLUMNS = (
    "Filename,ECG_ID,Patient_ID,Age,Gender,Acquisition_date,Sampling_point,Lead,AHA_code,CHN_code,ICD-10 code"
)
ROWS = (
    "P00/P00001/P00001_E01,P00001_E01,P00001,572d,'Female',2017-11-22 10:46:08,3000,12,"
    "'C21';'I105','C13','Q21.0'",
    "P00/P00001/P00001_E02,P00001_E02,P00001,600d,'Female',2017-12-20 10:46:08,3000,9,'A1','A1',",
    "P00/P00002/P00002_E01,P00002_E01,P00002,4015d,'Male',2018-01-02 08:00:00,3000,12,"
    "'Left ventricular high voltage','J106','M30.3';'I50.9'",
)


def make(root: Path, write_wfdb, ecg_adu) -> Path:
    """Write the corpus below `root` and return its folder."""
    folder = root / "zzu"
    for seed, row in enumerate(ROWS):
        path = folder / row.partition(",")[0]
        names = NINE if ",9," in row else LEADS
        write_wfdb(
            path.parent, path.name, ecg_adu(len(names), 3000, seed), [n.upper() for n in names], gain=2000
        )
    (folder / "AttributesDictionary.csv").write_text("\n".join([COLUMNS, *ROWS]) + "\n")
    return folder
