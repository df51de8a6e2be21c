"""`examples/paper/published.py`: rows, columns and figures of the paper's tables."""

from __future__ import annotations

import pytest

METHODS = {
    "1": ["Random Init.", "W2V", "CMSC", "3KG", "SimCLR(RLM)", "W2V+CMSC", "W2V+CMSC+RLM"],
    "2": ["Random Init.", "W2V", "CMSC", "W2V+CMSC", "W2V+CMSC+RLM"],
    "3": ["W2V", "W2V+RLM", "CMSC", "CMSC+RLM"],
    "4": ["RLM", "RLM+Physio(4)", "RLM+Physio(3)", "Physio(4)", "Physio(3)"],
}
PADDED = ["12-lead", "P-6-lead", "P-3-lead", "P-2-lead", "P-1-lead"]


@pytest.mark.parametrize("table", METHODS)
def test_rows_and_columns_are_in_the_papers_order(paper, table):
    cells = paper.published.cells_of(table)
    assert paper.published.labels_in_order(cells) == METHODS[table]
    columns = [c.replace("P-", "") for c in PADDED] if table == "2" else PADDED
    for task in ("Dx", "Id"):
        assert paper.published.columns_in_order(cells, task) == columns
    assert len(cells) == len(METHODS[table]) * 2 * 5


def test_every_cell_is_of_a_method_that_ships(paper, repo_dir):
    for cell in paper.published.read_published():
        if cell.method == "random_init":
            continue
        for size in ("", "_demo"):
            name = f"*/config/pretraining/{cell.method}{size}.yaml"
            assert len(list((repo_dir / "examples").glob(name))) == 1


@pytest.mark.parametrize(
    ("column", "lead_sets"),
    [("12-lead", ("12", "12")), ("P-6-lead", ("12", "6")), ("P-1-lead", ("12", "1")), ("3-lead", ("3", "3"))],
)
def test_a_column_says_which_leads_the_model_takes_and_which_are_tested(paper, column, lead_sets):
    cell = paper.published.Cell("1", "W2V", "Dx", column, 0.7, 0.01)
    assert cell.lead_sets == lead_sets
    assert cell.result == ("classification", "w2v", *lead_sets)


def test_tables_share_the_models_that_are_the_same(paper):
    def results(table):
        return {cell.result for cell in paper.published.cells_of(table) if cell.is_run}

    assert ("classification", "w2v_cmsc_rlm", "12", "6") in results("1") & results("4")
    assert ("identification", "w2v", "12", "12") in results("1") & results("2") & results("3")
    assert ("identification", "w2v", "12", "6") not in results("2")


def test_cells_that_the_paper_leaves_empty_are_not_run(paper):
    empty = [cell for cell in paper.published.read_published() if not cell.is_run]
    assert [(c.table, c.label, c.task, c.column) for c in empty] == [
        ("2", "W2V+CMSC+RLM", "Dx", "1-lead"),
        ("2", "W2V+CMSC+RLM", "Id", "1-lead"),
    ]


def test_other_methods_come_after_those_of_table_1_and_in_no_other(paper):
    cells = paper.published.cells_of("1", extra_methods=["crlc"])
    assert paper.published.labels_in_order(cells) == [*METHODS["1"], "CRLC"]
    assert all(cell.is_run for cell in cells)
    assert paper.published.cells_of("3", extra_methods=["crlc"]) == paper.published.cells_of("3")


def test_rows_and_columns_can_be_chosen(paper):
    cells = paper.published.cells_of("2", methods=["cmsc", "w2v"], lead_sets=["6", "1"])
    assert paper.published.labels_in_order(cells) == ["W2V", "CMSC"]
    assert paper.published.columns_in_order(cells, "Id") == ["6-lead", "1-lead"]


@pytest.mark.shared
def test_the_figures_are_the_references(shared_dir, paper_dir):
    reference = shared_dir / "reference" / "paper_tables.csv"
    if not reference.is_file():
        pytest.skip(f"no {reference}")
    assert (paper_dir / "paper_tables.csv").read_text() == reference.read_text()
