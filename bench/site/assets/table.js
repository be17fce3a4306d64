"use strict";
// The leaderboard: rows are in the page already; this sorts, filters and hides.
waldbench.part("leaderboard", (section) => {
  const table = section.querySelector("table");
  const body = table.tBodies[0];
  const status = section.querySelector(".status");
  const find = section.querySelector(".find");
  const family = section.querySelector("select.family");
  const trainable = section.querySelector("select.trainable");
  const rows = [...body.rows];
  let sorted = { key: "rank", up: true };

  /** What a row is sorted by; failed and unmeasured rows have null and stay below. */
  function value(row, key) {
    if (row.matches(".failed")) return null;
    if (key === "name") return row.dataset.name.toLowerCase();
    const text = key === "rank" ? row.dataset.rank : row.querySelector(`[data-column="${CSS.escape(key)}"]`).dataset.value;
    return text === "" ? null : Number(text);
  }

  function compare(one, other) {
    const [a, b] = [value(one, sorted.key), value(other, sorted.key)];
    if (a === null || b === null) return (a === null) - (b === null);
    return (a < b ? -1 : a > b ? 1 : 0) * (sorted.up ? 1 : -1);
  }

  function sort(button) {
    const key = button.dataset.sort;
    const best = button.dataset.better !== "higher";
    sorted = { key, up: sorted.key === key ? !sorted.up : best };
    for (const header of table.querySelectorAll("[aria-sort]")) header.removeAttribute("aria-sort");
    button.closest("th").setAttribute("aria-sort", sorted.up ? "ascending" : "descending");
    rows.sort(compare);
    body.append(...rows);
    announce();
  }

  function filter() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = `${row.dataset.name} ${row.dataset.key} ${row.dataset.family}`.toLowerCase();
      const named = words.every((word) => text.includes(word));
      const kind = (!family.value || row.dataset.family === family.value) && (!trainable.value || row.dataset.trainable === trainable.value);
      row.hidden = !(named && kind);
    }
    announce();
  }

  function announce() {
    const shown = rows.filter((row) => !row.hidden).length;
    status.textContent = shown === rows.length ? `${shown} methods` : `${shown} of ${rows.length} methods`;
  }

  function show(column, visible) {
    for (const cell of table.querySelectorAll(`[data-column="${CSS.escape(column)}"]`)) cell.hidden = !visible;
    for (const block of table.querySelectorAll(".blocks th")) {
      const count = table.querySelectorAll(`[data-column][data-block="${block.dataset.block}"]:not([hidden])`).length;
      block.colSpan = count || 1;
      block.hidden = !count;
    }
  }

  for (const button of table.querySelectorAll("thead button")) button.addEventListener("click", () => sort(button));
  for (const box of section.querySelectorAll(".sheet input")) {
    box.addEventListener("change", () => show(box.value, box.checked));
    show(box.value, box.checked);
  }
  for (const control of [find, family, trainable]) control.addEventListener("input", filter);
  const spread = section.querySelector("select.spread");
  const spreads = () => { table.dataset.spread = spread.value; };
  spread.addEventListener("input", spreads);
  spreads();
  filter();
});
