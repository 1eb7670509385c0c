// Tables that are sorted by clicking their heads: descending, ascending, and back to the order of the page.

const ORDERS = { none: "descending", descending: "ascending", ascending: "none" };

/** Turns the last line of heads into buttons. The rows of each body stay in it, under its heading. */
function makeSortable(table) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const original = new Map([...table.tBodies].map((body) => [body, [...body.rows]]));
  for (const [column, head] of heads.entries()) {
    const button = element("button", { type: "button" }, ...head.childNodes);
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const order = ORDERS[head.getAttribute("aria-sort")];
      for (const other of heads) other.setAttribute("aria-sort", other === head ? order : "none");
      for (const [body, rows] of original) body.append(...sorted(rows, column, order));
    });
  }
}

/** The rows in a new order, headings first, cells without a value last whichever way. */
function sorted(rows, column, order) {
  if (order === "none") return rows;
  const headings = rows.filter((row) => row.classList.contains("heading"));
  const keyed = rows.filter((row) => !headings.includes(row)).map((row) => ({ row, key: sortKey(row.cells[column]) }));
  const there = keyed.filter(({ key }) => key !== null).sort((a, b) => compare(a.key, b.key));
  if (order === "descending") there.reverse();
  const missing = keyed.filter(({ key }) => key === null);
  return [...headings, ...[...there, ...missing].map(({ row }) => row)];
}

/** A number in a column of numbers, else text; null for nothing. */
function sortKey(cell) {
  const text = cell.dataset.sort ?? cell.textContent.trim();
  if (!cell.classList.contains("number")) return text || null;
  return text === "" || Number.isNaN(Number(text)) ? null : Number(text);
}

function compare(a, b) {
  return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
}
