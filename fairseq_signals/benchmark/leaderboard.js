"use strict";
// Without this script all tables are there, folded. With it columns sort, and one board is shown at a time.

const DESCENDING = "descending";
const ASCENDING = "ascending";

function key(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
}

function compare(a, b) {
  const [first, second] = [a, b].map((each) => typeof each === "number" && Number.isNaN(each));
  if (first || second) return 0;
  return typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
}

function sort(header, order) {
  const body = header.closest("table").tBodies[0];
  const column = header.cellIndex;
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", order);
  const unknown = (row) => Number.isNaN(key(row, column));
  const sign = order === ASCENDING ? 1 : -1;
  const rows = [...body.rows].sort((a, b) => unknown(a) - unknown(b) || sign * compare(key(a, column), key(b, column)));
  body.append(...rows);
}

for (const header of document.querySelectorAll("table.sortable thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...header.childNodes);
  header.append(button);
  button.addEventListener("click", () => {
    const first = header.dataset.first || ASCENDING;
    const other = first === ASCENDING ? DESCENDING : ASCENDING;
    sort(header, header.getAttribute("aria-sort") === first ? other : first);
  });
}

const boards = [...document.querySelectorAll("details.board")];
const choice = document.querySelector("form.choice");

function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
  if (options.some(([value]) => value === before)) select.value = before;
}

function distinct(found, name) {
  return [...new Map(found.map((board) => [board.dataset[name], board.dataset[name + "Title"]]))];
}

function choose() {
  const { task, protocol, fraction, leads } = choice.elements;
  let left = boards;
  for (const select of [task, protocol, fraction]) {
    fill(select, distinct(left, select.name));
    left = left.filter((board) => board.dataset[select.name] === select.value);
  }
  const [shown] = left;
  const headers = [...shown.querySelectorAll("table.sortable thead th[data-leads]")];
  fill(leads, [["", "all"], ...headers.map((th) => [th.dataset.leads, th.textContent.trim()])]);
  for (const board of boards) {
    board.hidden = board !== shown;
    board.open = board === shown;
  }
  for (const cell of shown.querySelectorAll(".sortable [data-leads]")) {
    cell.hidden = leads.value !== "" && cell.dataset.leads !== leads.value;
  }
  for (const pairs of shown.querySelectorAll("details.pairs")) {
    const wanted = leads.value || shown.dataset.main;
    pairs.hidden = pairs.open = false;
    if (pairs.dataset.leads === wanted) pairs.open = true;
    else pairs.hidden = true;
  }
  const ranked = leads.value || shown.dataset.main;
  const header = headers.find((th) => th.dataset.leads === ranked);
  if (header) sort(header, header.dataset.first);
}

if (choice && boards.length) {
  choice.hidden = false;
  choice.addEventListener("change", choose);
  choice.addEventListener("submit", (event) => event.preventDefault());
  choose();
}

function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

addEventListener("hashchange", open);
open();
