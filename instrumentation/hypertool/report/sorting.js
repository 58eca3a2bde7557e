// Sorts a table by the column whose header is pressed; numbers by their value, all else by its text.
"use strict";

document.addEventListener("click", (event) => {
  const button = event.target.closest("table.sortable th button");
  if (!button) return;
  const head = button.parentElement;
  const column = [...head.parentElement.children].indexOf(head);
  const descending = head.getAttribute("aria-sort") !== "descending";
  for (const other of head.parentElement.children) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = head.closest("table").tBodies[0];
  const key = (row) => {
    const cell = row.children[column];
    return cell.dataset.v === undefined ? cell.textContent : cell.dataset.v === "" ? -Infinity : Number(cell.dataset.v);
  };
  const rows = [...body.rows].sort((a, b) => {
    const [left, right] = [key(a), key(b)];
    return (left < right ? -1 : left > right ? 1 : 0) * (descending ? -1 : 1);
  });
  body.append(...rows);
});
