"use strict";
// Accuracy against cost. plotly is read when the chart comes near the window: four megabytes that a reader of the table never needs.
waldbench.part("cost", (section, data) => {
  const { colour, labelled } = waldbench;
  const box = section.querySelector(".chart");
  const index = section.querySelector("select.index");
  const price = section.querySelector("select.price");
  const front = section.querySelector(".front");
  const SYMBOLS = { o: "circle", s: "square", "^": "triangle-up", D: "diamond", v: "triangle-down", P: "cross" };

  function leave(message) {
    section.querySelector(".controls").hidden = true;
    box.classList.add("missing");
    box.textContent = message;
  }

  if (document.body.hasAttribute("data-no-chart")) return leave("The chart needs plotly: pip install plotly, then run_bench.py report.");
  if (!data.indices.length || !data.costs.length) return leave("No method has both a score and a cost.");

  /** Methods that have both numbers, with the better ones in both respects marked as the front. */
  function points(score, cost) {
    const sign = score.arrow === "↑" ? -1 : 1;
    const found = data.methods
      .map((method) => ({ ...method, x: method.values[cost.id], y: method.values[score.id] }))
      .filter((method) => method.x !== null && method.y !== null)
      .sort((a, b) => a.x - b.x || sign * (a.y - b.y));
    let best = Infinity;
    for (const point of found) {
      point.front = sign * point.y < best;
      if (point.front) best = sign * point.y;
    }
    return found;
  }

  /** Vertical axis: linear, or logarithmic where an outlier would flatten the rest. */
  function upright(values) {
    const wide = waldbench.spansDecades(values);
    const place = wide ? Math.log10 : (value) => value;
    const [low, high] = [place(Math.min(...values)), place(Math.max(...values))];
    const pad = (high - low || 1) * 0.12;
    const numbers = waldbench.DECADES;
    const ticks = wide ? { tickvals: numbers.map(Math.log10), ticktext: numbers.map(String) } : { nticks: 6 };
    return { place, range: [low - pad, high + pad], ticks, note: wide ? ", logarithmic" : "" };
  }

  /** Logarithmic axis that keeps a place for zero: half a decade left of the smallest number. */
  function axis(values) {
    const positive = values.filter((value) => value > 0).map(Math.log10);
    const [low, high] = positive.length ? [Math.min(...positive), Math.max(...positive)] : [0, 0];
    const zero = values.some((value) => value === 0) ? Math.floor(low * 2) / 2 - 0.75 : null;
    const steps = high - low < 1.2 ? [1, 2, 5] : [1];
    const ticks = [];
    for (let power = Math.floor(low); power <= Math.ceil(high); power += 1) {
      for (const step of steps) ticks.push([power + Math.log10(step), Number((step * 10 ** power).toPrecision(3))]);
    }
    const shown = ticks.filter(([at]) => at > low - 0.5 && at < high + 0.5).map(([at, value]) => [at, value.toLocaleString("en", { maximumFractionDigits: 12 })]);
    if (zero !== null) shown.unshift([zero, "0"]);
    return { place: (value) => (value > 0 ? Math.log10(value) : zero), ticks: shown, low: zero ?? low, high };
  }

  /** Give every point the side on which its label covers no other; the front first, others may go without. */
  function label(found, area) {
    const taken = found.map((point) => [point.px - 5, point.py - 5, point.px + 5, point.py + 5]);
    for (const point of [...found].sort((a, b) => b.front - a.front)) {
      const wide = point.title.length * 6.8 + 4;
      const sides = {
        "middle right": [point.px + 8, point.py - 7], "top center": [point.px - wide / 2, point.py - 22],
        "bottom center": [point.px - wide / 2, point.py + 8], "middle left": [point.px - 8 - wide, point.py - 7],
        "top right": [point.px + 4, point.py - 20], "bottom right": [point.px + 4, point.py + 6],
        "top left": [point.px - wide - 4, point.py - 20], "bottom left": [point.px - wide - 4, point.py + 6],
      };
      const free = Object.entries(sides).find(([, [left, top]]) => {
        const inside = left > 0 && left + wide < area[0] && top > 0 && top + 14 < area[1];
        return inside && !taken.some(([x0, y0, x1, y1]) => left < x1 && left + wide > x0 && top < y1 && top + 14 > y0);
      });
      if (!free && !point.front) continue;
      const [side, [left, top]] = free ?? ["middle right", sides["middle right"]];
      point.side = side;
      taken.push([left, top, left + wide, top + 14]);
    }
  }

  function draw() {
    const score = data.indices.find((entry) => entry.id === index.value);
    const cost = data.costs.find((entry) => entry.id === price.value);
    const found = points(score, cost);
    const winners = found.filter((point) => point.front).map((point) => point.title);
    front.textContent = found.length ? `On the front (nothing is both better and cheaper): ${winners.join(", ")}.` : "No method has both numbers.";
    const scale = axis(found.map((point) => point.x));
    const rise = upright(found.map((point) => point.y));
    const pad = (scale.high - scale.low || 1) * 0.1;
    const range = { x: [scale.low - pad, scale.high + pad], y: rise.range };
    const margin = { l: 58, r: 12, t: 12, b: 100 };
    const area = [box.clientWidth - margin.l - margin.r, box.clientHeight - margin.t - margin.b];
    for (const point of found) {
      point.px = ((scale.place(point.x) - range.x[0]) / (range.x[1] - range.x[0])) * area[0];
      point.py = (1 - (rise.place(point.y) - range.y[0]) / (range.y[1] - range.y[0])) * area[1];
    }
    label(found, area);
    const up = score.arrow === "↑";
    Plotly.react(box, [line(found, scale, rise), ...families(found, scale, rise, score, cost)], {
      margin, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", dragmode: false,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("text") },
      legend: { orientation: "h", x: 0, xanchor: "left", y: -0.19, yanchor: "top", font: { color: colour("muted") } },
      hoverlabel: { bgcolor: colour("back"), bordercolor: colour("strong"), font: { color: colour("text") } },
      xaxis: style({ title: { text: `${labelled(cost)}, logarithmic`, standoff: 8 }, range: range.x, tickvals: scale.ticks.map((tick) => tick[0]), ticktext: scale.ticks.map((tick) => tick[1]) }),
      yaxis: style({ title: { text: `${labelled(score)} ${score.arrow}${rise.note}`, standoff: 8 }, range: range.y, ...rise.ticks }),
      annotations: [{ text: up ? "↖ better" : "↙ better", showarrow: false, xref: "paper", yref: "paper", x: 0.01, y: up ? 0.99 : 0.01, xanchor: "left", yanchor: up ? "top" : "bottom", font: { color: colour("muted") } }],
    }, { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false });
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", `${labelled(score)} against ${labelled(cost)}. ${front.textContent}`);
  }

  const style = (axis) => ({ zeroline: false, gridcolor: colour("line"), linecolor: colour("strong"), tickfont: { color: colour("muted") }, fixedrange: true, ...axis });

  function line(found, scale, rise) {
    const steps = found.filter((point) => point.front);
    return { x: steps.map((point) => scale.place(point.x)), y: steps.map((point) => rise.place(point.y)), mode: "lines", line: { shape: "hv", color: colour("strong"), width: 1.5, dash: "dot" }, hoverinfo: "skip", showlegend: false };
  }

  function families(found, scale, rise, score, cost) {
    return [...new Set(found.map((point) => point.family))].map((family) => {
      const members = found.filter((point) => point.family === family);
      return {
        name: family, mode: "markers+text", x: members.map((point) => scale.place(point.x)), y: members.map((point) => rise.place(point.y)),
        text: members.map((point) => (point.side ? point.title : "")), textposition: members.map((point) => point.side ?? "middle right"), textfont: { size: 11.5 }, cliponaxis: false,
        customdata: members.map((point) => [point.title, Number(point.x.toPrecision(4)), Number(point.y.toPrecision(5))]),
        hovertemplate: `<b>%{customdata[0]}</b><br>${labelled(score)}: %{customdata[2]}<br>${labelled(cost)}: %{customdata[1]}<extra></extra>`,
        marker: { size: 10, color: members[0].colour, symbol: SYMBOLS[members[0].marker] ?? "circle", line: { width: 1, color: colour("back") } },
      };
    });
  }

  function start() {
    waldbench.fill(index, waldbench.indexOptions(data.indices), data.ranked);
    waldbench.fill(price, data.costs.map((entry) => [entry.id, labelled(entry)]), data.costs.some((entry) => entry.id === "flops_256") ? "flops_256" : undefined);
    for (const control of [index, price]) control.addEventListener("input", draw);
    for (const query of ["(prefers-color-scheme: dark)", "(max-width: 40rem)", "print"]) matchMedia(query).addEventListener("change", draw);
    window.addEventListener("resize", () => section.offsetParent && draw());
    draw();
  }

  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    const ready = window.Plotly ? Promise.resolve() : waldbench.script("assets/plotly.min.js");
    ready.then(start, (error) => leave(error.message));
  }, { rootMargin: "400px" });
  watch.observe(box);
});
