"use strict";
// Two pictures and their difference under one view: side by side, swiped, or the difference alone.
waldbench.part("images", (section, data, group) => {
  const { brief, pixels } = waldbench;
  const at = (selector) => section.querySelector(selector);
  const stage = at(".stage");
  const choice = { shot: at("select.shot"), a: at("select.a"), b: at("select.b") };
  const [swipe, limit] = [at(".swipe input"), at(".scale input")];
  const panes = Object.fromEntries([...stage.querySelectorAll("figure")].map((figure) => [figure.dataset.pane, figure]));
  const pointers = new Map();
  let view = { zoom: 1, x: 0.5, y: 0.5 };
  let shown = null;
  let asked = 0;

  if (!data.pictures.length) {
    for (const child of [...section.children]) if (!child.matches("h3, .meaning")) child.hidden = true;
    at(".meaning").textContent = "No image was kept for this table.";
    return;
  }

  const mode = () => stage.dataset.mode;
  const shot = () => data.pictures[Number(choice.shot.value)];
  const scaleEnd = () => (Number(limit.value) / 100) * shot().headroom * shot().peak;

  /** Methods in the order of the table, the best first; references behind. */
  function offer() {
    const [a, b] = [choice.a.value, choice.b.value];
    const order = new Map(data.methods.map((method, place) => [method.key, place]));
    const names = [...shot().pictures].sort((one, other) => (order.get(one.name) ?? 1e6) - (order.get(other.name) ?? 1e6));
    const options = names.map((picture) => [picture.name, picture.title]);
    const has = (name) => names.some((picture) => picture.name === name);
    waldbench.fill(choice.a, options, has(a) ? a : options[0][0]);
    waldbench.fill(choice.b, options, has(b) ? b : has("gt") ? "gt" : "lms");
  }

  async function change() {
    const turn = (asked += 1);
    const current = shot();
    const find = (select) => current.pictures.find((picture) => picture.name === select.value);
    section.dataset.state = "loading";
    const [a, b] = await Promise.all([pixels.read(group.id, find(choice.a)), pixels.read(group.id, find(choice.b))]);
    if (turn !== asked) return;
    shown = { shot: current, a, b, d: pixels.difference(current, a, b) };
    describe();
    colour();
    section.dataset.state = "ready";
  }

  function describe() {
    const { a, b, d } = shown;
    const seed = (picture) => (picture.seed === undefined ? "" : `seed ${picture.seed}`);
    const caption = (pane, title, note) => {
      panes[pane].querySelector("figcaption").replaceChildren(waldbench.make("b", {}, title), waldbench.make("span", { class: "number" }, note));
      panes[pane].querySelector("canvas").setAttribute("aria-label", note ? `${title}, ${note}` : title);
    };
    if (mode() === "swipe") caption("a", `${a.title} | ${b.title}`, "left | right");
    else caption("a", a.title, seed(a));
    caption("b", b.title, seed(b));
    caption("d", `|${a.title} − ${b.title}|`, d ? `mean ${d.mean.toPrecision(3)} DN` : "");
    const { bands, rgb, low, high } = shown.shot;
    const stretch = `Colours: bands ${rgb.join(", ")}, ${low.map((value, c) => `${brief(value)} to ${brief(high[c])}`).join(" / ")} DN, alike for all methods.`;
    const meaning = !d ? "No difference is shown: the guide is another quantity."
      : d.exact ? `Difference: absolute error, mean over all ${bands} bands.`
        : "Difference: mean over the three bands shown, from 8-bit pictures; what lies outside the stretch is cut.";
    at(".meaning").textContent = mode() === "swipe" ? stretch : `${stretch} ${meaning}`;
  }

  function colour() {
    at(".limit").textContent = `${scaleEnd().toPrecision(3)} DN`;
    if (shown.d) shown.d.canvas = pixels.map(shown.shot, shown.d.values, scaleEnd());
    draw();
  }

  function draw() {
    if (!shown) return;
    stage.classList.toggle("zoomed", view.zoom > 1);
    const sharp = window.devicePixelRatio || 1;
    for (const [name, figure] of Object.entries(panes)) {
      const canvas = figure.querySelector("canvas");
      const width = Math.round(canvas.clientWidth * sharp);
      if (!width) continue;
      canvas.width = width;
      canvas.height = Math.round((width * shown.shot.height) / shown.shot.width);
      const context = canvas.getContext("2d");
      if (shown[name]) paint(context, shown[name].canvas);
      if (name === "a" && mode() === "swipe") divide(context, sharp);
    }
  }

  function paint(context, picture) {
    const { canvas } = context;
    const scale = (canvas.width / shown.shot.width) * view.zoom;
    context.save();
    context.imageSmoothingEnabled = scale < 1;
    context.translate(canvas.width / 2 - view.x * shown.shot.width * scale, canvas.height / 2 - view.y * shown.shot.height * scale);
    context.scale(scale, scale);
    context.drawImage(picture, 0, 0);
    context.restore();
  }

  function divide(context, sharp) {
    const { width, height } = context.canvas;
    const edge = (width * Number(swipe.value)) / 100;
    context.save();
    context.beginPath();
    context.rect(edge, 0, width, height);
    context.clip();
    context.clearRect(0, 0, width, height);
    paint(context, shown.b.canvas);
    context.restore();
    context.fillStyle = "#fff";
    context.fillRect(edge - sharp, 0, 2 * sharp, height);
    context.fillStyle = "#000";
    context.fillRect(edge + sharp, 0, sharp, height);
  }

  function look(next) {
    const zoom = Math.min(Math.max(next.zoom, 1), 32);
    const keep = (centre) => Math.min(Math.max(centre, 0.5 / zoom), 1 - 0.5 / zoom);
    view = { zoom, x: keep(next.x), y: keep(next.y) };
    draw();
  }

  /** Zoom about a place in the pane, (0.5, 0.5) its centre. */
  function zoomBy(factor, px = 0.5, py = 0.5) {
    const zoom = Math.min(Math.max(view.zoom * factor, 1), 32);
    const shift = 1 / view.zoom - 1 / zoom;
    look({ zoom, x: view.x + (px - 0.5) * shift, y: view.y + (py - 0.5) * shift });
  }

  function place(event) {
    const canvas = event.target.closest("canvas");
    if (!canvas) return null;
    const box = canvas.getBoundingClientRect();
    return { px: (event.clientX - box.left) / box.width, py: (event.clientY - box.top) / box.height, width: box.width, height: box.height };
  }

  function tell(event) {
    const spot = place(event);
    if (!spot || !shown) return;
    const x = Math.floor((view.x + (spot.px - 0.5) / view.zoom) * shown.shot.width);
    const y = Math.floor((view.y + (spot.py - 0.5) / view.zoom) * shown.shot.height);
    if (x < 0 || y < 0 || x >= shown.shot.width || y >= shown.shot.height) return;
    const pixel = y * shown.shot.width + x;
    const values = [shown.a, shown.b].map((picture) => `${picture.title} ${pixels.numbers(shown.shot, picture, pixel)}`.trim());
    const error = shown.d ? `   difference ${brief(shown.d.values[pixel], 1)} DN` : "";
    at(".readout").textContent = `x ${x}, y ${y}   ${values.join("   ")}${error}`;
  }

  function drag(event) {
    tell(event);
    const before = pointers.get(event.pointerId);
    const spot = place(event);
    if (!before || !spot) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, divider: before.divider });
    if (before.divider) {
      swipe.value = spot.px * 100;
      return draw();
    }
    const others = [...pointers.entries()].filter(([id]) => id !== event.pointerId);
    if (others.length) {
      const [, other] = others[0];
      const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y);
      return zoomBy(apart({ x: event.clientX, y: event.clientY }) / Math.max(apart(before), 1));
    }
    look({ ...view, x: view.x - (event.clientX - before.x) / spot.width / view.zoom, y: view.y - (event.clientY - before.y) / spot.height / view.zoom });
  }

  function grab(event) {
    const spot = place(event);
    if (!spot) return;
    const divider = mode() === "swipe" && Math.abs(spot.px - Number(swipe.value) / 100) * spot.width < 14;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, divider });
    event.target.setPointerCapture(event.pointerId);
    stage.classList.add("dragging");
  }

  function release(event) {
    pointers.delete(event.pointerId);
    stage.classList.toggle("dragging", pointers.size > 0);
  }

  function press(event) {
    const step = 0.15 / view.zoom;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.target !== stage || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") zoomBy(1.5);
    else if (event.key === "-") zoomBy(1 / 1.5);
    else if (event.key === "0") look({ zoom: 1, x: 0.5, y: 0.5 });
    else if (moves[event.key] && view.zoom > 1) look({ ...view, x: view.x + moves[event.key][0], y: view.y + moves[event.key][1] });
    else return;
    event.preventDefault();
  }

  function wheel(event) {
    const spot = place(event);
    // Without Ctrl the wheel scrolls the page, unless the reader has stepped into the viewer.
    if (!spot || !(event.ctrlKey || event.metaKey || document.activeElement === stage)) return;
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), spot.px, spot.py);
  }

  function arrange(name) {
    stage.dataset.mode = name;
    at("label.swipe").hidden = name !== "swipe";
    at(".scale").hidden = name === "swipe";
    if (!shown) return;
    describe();
    draw();
  }

  waldbench.fill(choice.shot, data.pictures.map((entry, number) => [number, entry.title]));
  pixels.ramp(at(".scale canvas"));
  offer();
  choice.shot.addEventListener("input", () => { view = { zoom: 1, x: 0.5, y: 0.5 }; offer(); change(); });
  for (const select of [choice.a, choice.b]) select.addEventListener("input", change);
  at(".swap").addEventListener("click", () => { [choice.a.value, choice.b.value] = [choice.b.value, choice.a.value]; change(); });
  for (const radio of section.querySelectorAll(".segments input")) radio.addEventListener("change", () => arrange(radio.value));
  swipe.addEventListener("input", draw);
  limit.addEventListener("input", () => shown && colour());
  const zooms = { in: () => zoomBy(1.5), out: () => zoomBy(1 / 1.5), fit: () => look({ zoom: 1, x: 0.5, y: 0.5 }) };
  for (const button of section.querySelectorAll("[data-zoom]")) button.addEventListener("click", zooms[button.dataset.zoom]);
  stage.addEventListener("pointerdown", grab);
  stage.addEventListener("pointermove", drag);
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, release);
  stage.addEventListener("keydown", press);
  stage.addEventListener("wheel", wheel, { passive: false });
  new ResizeObserver(draw).observe(stage);
  new IntersectionObserver((entries, watch) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    change();
  }, { rootMargin: "400px" }).observe(stage);
});
