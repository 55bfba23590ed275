"use strict";
// Sorts and filters the rows of the tables. Nothing is made of text here: rows only move, hide and show.
(() => {
  const said = document.getElementById("said");
  const value = (row, column) => {
    const cell = row.cells[column];
    const number = cell.dataset.v;
    if (number === undefined) return cell.textContent.toLowerCase();
    return number === "" ? null : Number(number);
  };
  const compare = (a, b) => (typeof a === "string" ? (a < b ? -1 : a > b ? 1 : 0) : a - b);

  function sort(head) {
    const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
    const isNumber = body.rows[0]?.cells[column].dataset.v !== undefined;
    const before = head.getAttribute("aria-sort");
    const order = before === "none" ? (isNumber ? "descending" : "ascending") : before === "ascending" ? "descending" : "ascending";
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", other === head ? order : "none");
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [value(row, column), row]);
    rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
    body.append(...rows.map(([, row]) => row));
    said.textContent = `sorted by ${head.textContent}, ${order}`;
  }
  for (const head of document.querySelectorAll("th")) head.firstElementChild.addEventListener("click", () => sort(head));

  for (const input of document.querySelectorAll("input[data-table]")) {
    const rows = document.getElementById(input.dataset.table).tBodies[0].rows;
    const output = input.parentElement.querySelector("output");
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase();
      let count = 0;
      for (const row of rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
        count += row.hidden ? 0 : 1;
      }
      output.textContent = wanted ? `${count} of ${rows.length} rows` : "";
    });
  }
  document.documentElement.dataset.ready = "";
})();
