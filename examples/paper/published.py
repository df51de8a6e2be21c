"""The paper's tables: their rows, columns and figures, and which models fill a cell."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

#: The figures of Tables 1 to 4 of Oh et al., CHIL 2022, PMLR 174:338-353 (arXiv:2203.06889).
PUBLISHED = Path(__file__).with_name("paper_tables.csv")
TABLES = ("1", "2", "3", "4")
#: The paper's name of each row. Table 4 calls W2V+CMSC+RLM by its augmentation alone.
METHODS = {
    "Random Init.": "random_init",
    "W2V": "w2v",
    "CMSC": "cmsc",
    "3KG": "3kg",
    "SimCLR(RLM)": "simclr_rlm",
    "W2V+CMSC": "w2v_cmsc",
    "W2V+CMSC+RLM": "w2v_cmsc_rlm",
    "W2V+RLM": "w2v_rlm",
    "CMSC+RLM": "cmsc_rlm",
    "RLM": "w2v_cmsc_rlm",
    "Physio(4)": "w2v_cmsc_physio4",
    "Physio(3)": "w2v_cmsc_physio3",
    "RLM+Physio(4)": "w2v_cmsc_rlm_physio4",
    "RLM+Physio(3)": "w2v_cmsc_rlm_physio3",
}
#: Methods that no table of the paper has; `extra_methods` adds them to Table 1.
EXTRA_METHODS = {
    "CMLC": "cmlc",
    "CMSMLC": "cmsmlc",
    "SimCLR(Physio)": "simclr_physio",
    "CRLC": "crlc",
    "W2V+CMSC+RLM(independent)": "w2v_cmsc_rlm_independent",
    "MTAE": "mtae",
    "MTAE+RLM": "mtae_rlm",
    "MLAE": "mlae",
    "ST-MEM": "st_mem",
    "ST-MEM+RLM": "st_mem_rlm",
    "MTECG": "mtecg",
    "MaeFE(time)": "maefe_time",
    "MaeFE(lead)": "maefe_lead",
    "MaeFE(both)": "maefe_both",
    "MaeFE(union)": "maefe_union",
    "Hu et al.": "hu2023",
    "All leads": "all_leads",
    "ECG-JEPA(Weimann)": "jepa_weimann",
    "ECG-JEPA(Kim)": "jepa_kim",
    "S4-JEPA": "s4_jepa",
    "ECG-CPC": "ecg_cpc",
    "HuBERT(online)": "hubert_online",
    "VICReg": "vicreg",
    "BYOL": "byol",
    "MoCo v3": "moco_v3",
    "SwAV": "swav",
    "SimDINO": "simdino",
    "PCLR": "pclr",
    "SMD-SSL": "smd_ssl",
    "Adversarial masking": "adversarial_mask",
    "Adversarial masking+CMSC": "adversarial_mask_cmsc",
}
TASKS = {"Dx": "classification", "Id": "identification"}
ALL_LEADS = "12"


class Result(NamedTuple):
    """What fills a cell, once a seed: models of two tables may be the same."""

    task: str
    method: str
    pretrained_on: str
    leads: str


class Cell(NamedTuple):
    """A cell of a table of the paper; `mean` is None where the paper has no figure."""

    table: str
    label: str
    task: str
    column: str
    mean: float | None
    ci95: float | None

    @property
    def method(self) -> str:
        return {**METHODS, **EXTRA_METHODS}[self.label]

    @property
    def lead_sets(self) -> tuple[str, str]:
        """(pre-trained on, fine-tuned and tested on): "P-6-lead" is the latter padded to the former's 12."""
        padded = self.column.startswith("P-")
        number = self.column[2 if padded else 0 :].split("-")[0]
        return (ALL_LEADS if padded else number), number

    @property
    def result(self) -> Result:
        """The models that fill the cell."""
        return Result(TASKS[self.task], self.method, *self.lead_sets)

    @property
    def is_run(self) -> bool:
        """Whether the cell is filled: the paper leaves two of Table 2 empty, and so do we."""
        return self.mean is not None or self.label in EXTRA_METHODS


def read_published(path: Path = PUBLISHED) -> list[Cell]:
    """The cells of the paper's tables, in the order of its rows and columns."""
    with path.open(newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    return [Cell(*row[:4], *(float(figure) if figure else None for figure in row[4:])) for row in rows]


def cells_of(
    table: str,
    methods: Sequence[str] = (),
    lead_sets: Sequence[str] = (),
    extra_methods: Sequence[str] = (),
) -> list[Cell]:
    """The cells of a table in the paper's order.

    Args:
        table: its number.
        methods, lead_sets: take these alone; all, where none is given.
        extra_methods: methods that the paper does not have, whose cells come after those of Table 1.
    """
    cells = [cell for cell in read_published() if cell.table == table]
    columns = list(dict.fromkeys((cell.task, cell.column) for cell in cells))
    labels = {method: label for label, method in EXTRA_METHODS.items()}
    cells = [cell for cell in cells if not methods or cell.method in methods]
    for method in extra_methods if table == TABLES[0] else ():
        cells += [Cell(table, labels[method], *column, None, None) for column in columns]
    return [cell for cell in cells if not lead_sets or cell.lead_sets[1] in lead_sets]


def labels_in_order(cells: Iterable[Cell]) -> list[str]:
    """The rows of a table."""
    return list(dict.fromkeys(cell.label for cell in cells))


def columns_in_order(cells: Sequence[Cell], task: str) -> list[str]:
    """The columns that a table has of one task."""
    return list(dict.fromkeys(cell.column for cell in cells if cell.task == task))
