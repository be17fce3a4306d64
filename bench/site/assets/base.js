"use strict";
// Shared by all scripts of the page. Data arrive as scripts that call waldbench.receive(name, value): a page that was opened
// from disk may load scripts, but must not fetch.
const waldbench = (() => {
  const waiting = new Map();
  const loaded = new Map();
  const parts = [];

  function receive(name, value) {
    const found = waiting.get(name);
    if (found) found(value);
  }

  function script(source) {
    return new Promise((resolve, reject) => {
      const element = document.createElement("script");
      element.src = source;
      element.onload = resolve;
      element.onerror = () => reject(new Error(`${source} could not be read`));
      document.head.append(element);
    });
  }

  /** Value that the data script at `source` hands over under `name`; every script is read once. */
  function load(name, source) {
    if (!loaded.has(name)) {
      const value = new Promise((resolve) => waiting.set(name, resolve));
      loaded.set(name, script(source).then(() => value));
    }
    return loaded.get(name);
  }

  /** Make an element: attributes by name, text or children behind them. */
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "line", "circle", "title"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function fill(select, options, chosen) {
    select.replaceChildren(...options.map(([value, title]) => make("option", { value }, title)));
    if (chosen !== undefined) select.value = chosen;
  }

  /** A pixel's value: whole digital numbers (or with decimals), two digits of what is below one, such as a reflectance. */
  const brief = (value, decimals = 0) => (Math.abs(value) >= 1 || value === 0 ? value.toFixed(decimals) : value.toPrecision(2));

  /** Indices as options, the resolution in front where both occur. */
  function indexOptions(indices) {
    const both = new Set(indices.map((index) => index.split)).size > 1;
    return indices.map((index) => [index.id, `${both ? `${index.split.split(" ")[0]}: ` : ""}${plain(index.title)}`]);
  }

  const plain = (title) => title.replace("_", " ");
  const labelled = (axis) => `${plain(axis.title)}${axis.unit ? ` (${axis.unit})` : ""}`;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // 1, 2, 5 of every decade that an index can reach: the marks of logarithmic axes.
  const DECADES = [-4, -3, -2, -1, 0, 1, 2, 3].flatMap((power) => [1, 2, 5].map((step) => Number((step * 10 ** power).toPrecision(1))));

  /** Whether values span so much that one far-off method would squeeze all others into a line. */
  function spansDecades(values) {
    const known = values.filter((value) => value !== null);
    return known.every((value) => value > 0) && Math.max(...known) > 6 * Math.min(...known);
  }

  /** Run `start(section, data)` once for every section with this class, as soon as its group is opened. */
  function part(name, start) { parts.push([name, start]); }

  function open(group) {
    if (group.dataset.open) return;
    group.dataset.open = "yes";
    load(group.id, `data/${encodeURIComponent(group.id)}.js`).then((data) => {
      for (const [name, start] of parts) {
        const section = group.querySelector(`:scope > section.${name}`);
        if (section) start(section, data, group);
      }
      group.dataset.ready = "yes";
    });
  }

  // Tabs after the pattern of the ARIA authoring practices: arrows move and select, Home and End jump.
  function select(tab, focus) {
    const list = tab.closest("[role=tablist]");
    for (const other of list.querySelectorAll("[role=tab]")) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", chosen);
      other.tabIndex = chosen ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
    }
    if (focus) tab.focus();
    const panel = document.getElementById(tab.getAttribute("aria-controls"));
    const group = panel.matches(".group") ? panel : panel.querySelector(".group:not([hidden])");
    if (group && !group.closest("[hidden]")) open(group);
    return group;
  }

  function move(event) {
    const tab = event.target.closest("[role=tab]");
    const tabs = tab ? [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]")] : [];
    const here = tabs.indexOf(tab);
    const target = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (here < 0 || target === undefined) return;
    event.preventDefault();
    remember(select(tabs[(target + tabs.length) % tabs.length], true));
  }

  const remember = (group) => group && history.replaceState(null, "", `#${encodeURIComponent(group.id)}`);

  /** Show what the address names: a group, or a part of one behind a double hyphen. */
  function follow() {
    const name = decodeURIComponent(location.hash.slice(1));
    const element = name && document.getElementById(name);
    const group = element && element.closest(".group");
    if (!group) return;
    for (const panel of [group.closest("section[role=tabpanel]"), group]) {
      if (panel) select(document.getElementById(`tab-${panel.id}`));
    }
    if (element === group) return;
    if (element.matches("details")) element.open = true;
    element.scrollIntoView();
  }

  function start() {
    document.addEventListener("keydown", move);
    document.addEventListener("click", (event) => {
      const tab = event.target.closest("[role=tab]");
      if (tab) remember(select(tab));
      for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
    });
    document.addEventListener("keydown", (event) => {
      const menu = event.key === "Escape" && event.target.closest("details.menu[open]");
      if (!menu) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    window.addEventListener("hashchange", follow);
    window.addEventListener("beforeprint", () => document.querySelectorAll(".cards details, .provenance details").forEach((d) => (d.open = true)));
    const first = document.querySelector(".group:not([hidden])");
    if (first && !location.hash) open(first);
    follow();
    if (first && !document.querySelector(".group[data-open]")) open(first);
  }

  document.addEventListener("DOMContentLoaded", start);
  return { receive, load, script, make, fill, indexOptions, plain, labelled, colour, brief, DECADES, spansDecades, part };
})();
