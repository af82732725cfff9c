"use strict";
// Tables that sort by a click on a heading; a second click turns the order round. Blanks stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.tabIndex = 0;
    const sort = () => {
      const down = heading.getAttribute("aria-sort") !== "descending" && heading.className === "n"
        || heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows];
      const key = (row) => row.cells[column].textContent.trim();
      const numbers = rows.every((row) => key(row) === "" || !isNaN(parseFloat(key(row))));
      const order = (a, b) => numbers ? parseFloat(a) - parseFloat(b) : a.localeCompare(b, "en", { numeric: true });
      table.tBodies[0].append(...rows.sort((one, other) => {
        const [a, b] = [key(one), key(other)];
        return (a === "") - (b === "") || (a === "" ? 0 : order(a, b) * (down ? -1 : 1));
      }));
    };
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}
