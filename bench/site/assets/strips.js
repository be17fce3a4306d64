"use strict";
// Scores per image: one strip a method, one dot an image, a bar at the mean.
waldbench.part("scores", (section, data) => {
  const { make } = waldbench;
  const index = section.querySelector("select.index");
  const image = section.querySelector("select.image");
  const strips = section.querySelector(".strips");
  const table = section.querySelector(".numbers .scroll");
  const methods = new Map(data.methods.map((method) => [method.key, method]));

  if (!data.scores.length) {
    section.querySelector(".controls").hidden = section.querySelector(".numbers").hidden = true;
    strips.textContent = "No score was recorded.";
    return;
  }

  function ticks(low, high) {
    const rough = (high - low) / 4 || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Number(at.toPrecision(8)));
    return found;
  }

  function draw() {
    const entry = data.scores.find((score) => score.id === index.value);
    const known = Object.entries(entry.values).filter(([method]) => methods.has(method));
    const numbers = known.flatMap(([, values]) => values).filter((value) => value !== null);
    if (!numbers.length) return strips.replaceChildren("No finite score.");
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
    const wide = waldbench.spansDecades(numbers);
    const along = wide ? (value) => Math.log(value / low) / Math.log(high / low) : (value) => (value - low) / (high - low);
    const place = (value) => `${high > low ? 2 + 96 * along(value) : 50}%`;
    const marks = wide ? waldbench.DECADES.filter((at) => at >= low && at <= high) : ticks(low, high);
    const rows = known.map(([method, values]) => strip(entry, methods.get(method), values, place, marks));
    const better = entry.arrow === "↑" ? "right is better" : "left is better";
    const axis = make("div", { class: "strip axis", "aria-hidden": "true" }, make("span", {}, wide ? `${better}, log` : better),
      make("div", {}, ...marks.map((at) => make("span", { style: `left:${place(at)}` }, String(at)))), make("span", { class: "number" }, "mean"));
    strips.replaceChildren(axis, ...rows);
    tabulate(entry, known);
  }

  function strip(entry, method, values, place, marks) {
    const svg = make("svg", { role: "img", "aria-label": `${method.title}: ${values.map((value) => text(entry, value)).join(", ")}` });
    for (const at of marks) svg.append(make("line", { x1: place(at), x2: place(at), y1: 0, y2: "100%" }));
    const order = values.map((_, number) => number).sort((a, b) => (String(a) === image.value) - (String(b) === image.value));
    for (const number of order) {
      if (values[number] === null) continue;
      const marked = String(number) === image.value;
      const dot = make("circle", { cx: place(values[number]), cy: "50%", r: marked ? 6 : 5, "data-image": number }, make("title", {}, `${entry.images[number]}: ${text(entry, values[number])}`));
      if (marked) dot.classList.add("marked");
      svg.append(dot);
    }
    const mean = average(values);
    if (mean !== null) svg.append(make("line", { class: "mean", x1: place(mean), x2: place(mean), y1: "10%", y2: "90%" }));
    return make("div", { class: "strip", style: `--colour:${method.colour}` }, make("b", { title: method.title }, method.title), svg, make("span", { class: "number" }, text(entry, mean)));
  }

  function tabulate(entry, known) {
    const head = make("tr", {}, make("th", { scope: "col" }, "Method"), ...entry.images.map((name) => make("th", { scope: "col", class: "number" }, name)));
    const rows = known.map(([method, values]) => make("tr", {}, make("th", { scope: "row" }, methods.get(method).title), ...values.map((value) => make("td", { class: "number" }, text(entry, value)))));
    table.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
  }

  // A mean over fewer images would not compare with the other methods.
  const average = (values) => (values.includes(null) ? null : values.reduce((sum, value) => sum + value, 0) / values.length);
  const text = (entry, value) => (value === null ? "–" : value.toFixed(entry.decimals));

  function choose() {
    const kept = image.selectedOptions[0]?.textContent;
    const names = data.scores.find((score) => score.id === index.value).images;
    waldbench.fill(image, [["", "none"], ...names.map((name, number) => [number, name])]);
    const again = names.indexOf(kept);
    image.value = again < 0 ? "" : String(again);
    draw();
  }

  waldbench.fill(index, waldbench.indexOptions(data.scores), data.scores.some((score) => score.id === data.ranked) ? data.ranked : undefined);
  index.addEventListener("input", choose);
  image.addEventListener("input", draw);
  strips.addEventListener("click", (event) => {
    const dot = event.target.closest("[data-image]");
    if (!dot) return;
    image.value = image.value === dot.dataset.image ? "" : dot.dataset.image;
    draw();
  });
  choose();
});
