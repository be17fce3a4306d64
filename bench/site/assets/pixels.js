"use strict";
// Pictures as pixels: reading them, their differences, and the colours in which differences are shown.
waldbench.pixels = (() => {
  // Ten samples of the colour map magma (matplotlib, CC0), between which colours are interpolated.
  const MAGMA = ["000004", "180f3d", "440f76", "721f81", "9e2f7f", "cd4071", "f1605d", "fd9668", "feca8d", "fcfdbf"]
    .map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const table = new Uint8ClampedArray(256 * 3);
  for (let level = 0; level < 256; level += 1) {
    const at = (level / 255) * (MAGMA.length - 1);
    const [one, other] = [MAGMA[Math.floor(at)], MAGMA[Math.ceil(at)]];
    for (let c = 0; c < 3; c += 1) table[level * 3 + c] = one[c] + (other[c] - one[c]) * (at % 1);
  }

  async function decode(uri) {
    const image = new Image();
    image.src = uri;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return { canvas, data: context.getImageData(0, 0, canvas.width, canvas.height).data };
  }

  /** One picture of a shot with its pixels: colours, and the exact error against the ground truth where there is one. */
  async function read(group, picture) {
    const address = `${group}/${picture.file}`;
    const content = await waldbench.load(address, `images/${encodeURIComponent(group)}/${picture.file}`);
    if (!content.pixels) {
      content.pixels = Promise.all([decode(content.rgb), content.error ? decode(content.error) : null]);
    }
    const [rgb, error] = await content.pixels;
    return { ...picture, ...rgb, error: error && error.data, mean: content.mean, guide: Boolean(content.guide) };
  }

  /**
   * Difference of two pictures in DN.
   *
   * Against the ground truth it is the stored error, a mean over all bands; between two others it is computed from the three
   * bands shown, cut at the ends of the stretch. Null where the guide takes part: it measures something else.
   */
  function difference(shot, one, other) {
    if (one.guide || other.guide) return null;
    const stored = one.name === "gt" ? other : other.name === "gt" ? one : null;
    const values = new Float32Array(shot.width * shot.height);
    if (stored && stored.error) {
      const step = (shot.peak * shot.headroom) / 255;
      for (let at = 0; at < values.length; at += 1) values[at] = stored.error[at * 4] * step;
      return { values, mean: stored.mean, exact: true };
    }
    const steps = shot.low.map((low, c) => (shot.high[c] - low) / 255 / 3);
    let sum = 0;
    for (let at = 0; at < values.length; at += 1) {
      for (let c = 0; c < 3; c += 1) values[at] += Math.abs(one.data[at * 4 + c] - other.data[at * 4 + c]) * steps[c];
      sum += values[at];
    }
    return { values, mean: sum / values.length, exact: false };
  }

  /** A difference on a canvas; `limit` DN have the brightest colour. */
  function map(shot, values, limit) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [shot.width, shot.height];
    const context = canvas.getContext("2d");
    const image = context.createImageData(shot.width, shot.height);
    for (let at = 0; at < values.length; at += 1) {
      const level = Math.min(Math.round((values[at] / limit) * 255), 255) * 3;
      for (let c = 0; c < 3; c += 1) image.data[at * 4 + c] = table[level + c];
      image.data[at * 4 + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }

  function ramp(canvas) {
    const context = canvas.getContext("2d");
    for (let level = 0; level < 256; level += 1) {
      context.fillStyle = `rgb(${table.subarray(level * 3, level * 3 + 3).join(" ")})`;
      context.fillRect(level, 0, 1, 1);
    }
  }

  /** Digital numbers of the shown bands at one pixel; a sign tells where the stretch cut them. */
  function numbers(shot, picture, at) {
    if (picture.guide) return "";
    return shot.low.map((low, c) => {
      const level = picture.data[at * 4 + c];
      const value = low + (level / 255) * (shot.high[c] - low);
      return `${level === 0 ? "≤" : level === 255 ? "≥" : ""}${waldbench.brief(value)}`;
    }).join(" ");
  }

  return { read, difference, map, ramp, numbers };
})();
