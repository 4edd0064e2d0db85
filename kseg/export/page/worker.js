// Runs the model beside the page, so that the page stays answerable. A classic worker: LiteRT.js loads its own
// script by importScripts, which module workers do not have.
"use strict";

const SMOOTHING = { weight: 0.6, jump: 0.6 }; // as kseg.webcam.smoothing
const LARGEST = 640; // longer side of the soft mask
const SMOOTHED_CLASSES = 40; // probabilities of more classes would take hundreds of megabytes

let litert, mask, model, info, input;
let before = null; // probabilities of the frame before
let last = null; // what the newest mask is made of

const canvases = [0, 1].map(() =>
  new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true, alpha: false }));

async function load({ meta, bytes, folder, backend, threads }) {
  info = meta;
  const base = new URL(`${folder}/`, self.location.href).href;
  mask = await import(new URL("mask.mjs", self.location.href).href);
  litert = await import(`${base}index.mjs`);
  const relaxed = await litert.supportsFeature("relaxedSimd");
  threads = relaxed && self.crossOriginIsolated && backend === "wasm" ? threads : 1;
  const script = `litert_wasm_${relaxed ? (threads > 1 ? "threaded_" : "") : "compat_"}internal.js`;
  self.Module = { locateFile: (file) => base + file, mainScriptUrlOrBlob: base + script };
  await litert.loadLiteRt(base, threads > 1 ? { threads: true } : {});
  const options = { accelerator: backend };
  if (backend === "wasm") options.cpuOptions = { numThreads: threads };
  model = await litert.loadAndCompile(new Uint8Array(bytes), options);
  if (model.options.accelerator !== backend) throw new Error(`the graph does not run on ${backend}`);
  input = model.getInputDetails()[0];
  const [, height, width] = input.shape;
  if (height !== info.size[0] || width !== info.size[1]) throw new Error("the model file has another size");
  await scores(new Uint8Array(3 * height * width)); // compiles what is compiled at the first run
  return { threads, script };
}

/** What the model gives for RGB pixels of its own size. */
async function scores(rgb) {
  const pixels = input.dtype === "float32" ? Float32Array.from(rgb) : rgb;
  const tensor = new litert.Tensor(pixels, input.shape);
  let outputs = [];
  try {
    outputs = await model.run([tensor]);
    return { values: await outputs[0].data(), classes: channelsOf(outputs[0]) };
  } finally {
    tensor.delete();
    for (const output of outputs) output.delete();
  }
}

function channelsOf(tensor) {
  const shape = Array.from(tensor.type.layout.dimensions);
  return shape.length === 4 ? shape[3] : 1;
}

/** A frame as RGBA pixels of a size; a browser shrinks worse the more there is to shrink, unless it is told. */
function pixelsOf(context, bitmap, [height, width]) {
  const canvas = context.canvas;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  context.imageSmoothingQuality = shrinksFar(bitmap, [height, width]) ? "high" : "low";
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

const shrinksFar = (bitmap, [height, width]) => bitmap.width > 3 * width || bitmap.height > 3 * height;

/** RGBA pixels of the model's size, from the same two neighbours a side as kseg webcam's, and of the mask's size. */
function pixelsOfBoth(bitmap, size, edges) {
  if (shrinksFar(bitmap, info.size))
    return [pixelsOf(canvases[0], bitmap, info.size), edges && pixelsOf(canvases[1], bitmap, size)];
  const whole = [bitmap.height, bitmap.width];
  const pixels = pixelsOf(canvases[0], bitmap, whole);
  const same = size[0] === whole[0] && size[1] === whole[1];
  return [mask.resizedBytes(pixels, whole, info.size), edges && (same ? pixels : pixelsOf(canvases[1], bitmap, size))];
}

function rgbOf(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; to < rgb.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return rgb;
}

async function frame({ bitmap, view }) {
  const began = performance.now();
  const shrink = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const size = [bitmap.height, bitmap.width].map((side) => Math.max(1, Math.round(side * shrink)));
  const [small, large] = pixelsOfBoth(bitmap, size, view.edges);
  const ready = performance.now();
  const { values, classes } = await scores(rgbOf(small));
  const done = performance.now();
  const count = info.classes.length;
  let current = mask.probabilities(values, classes, info.output);
  if (current && view.smoothing && count <= SMOOTHED_CLASSES)
    current = mask.smoothed(before, current, count, SMOOTHING.weight, SMOOTHING.jump);
  before = current && view.smoothing && count <= SMOOTHED_CLASSES ? current : null;
  const labels = current ? mask.labelsOf(current, count) : Uint8Array.from(values);
  last = { size, small, large, current, labels, shares: mask.sharesOf(labels, count) };
  const masks = masksOf(view);
  return { ...masks, times: { prepare: ready - began, model: done - ready, mask: performance.now() - done } };
}

/** What is painted, and what stays sharp before another background, for the newest frame. */
function masksOf(view) {
  const { classes, palette, unpainted } = info;
  const alone = view.only ?? (classes.length === 2 && unpainted === 0 ? 1 : null);
  const paint = alone === null
    ? { size: info.size, rgba: mask.coloured(last.labels, palette, unpainted) }
    : { size: last.size, rgba: mask.tinted(inside((c) => c === alone, view), palette[alone]) };
  const front = view.background === "none"
    ? null
    : { size: last.size, rgba: mask.tinted(inside((c) => c > 0, view), [0, 0, 0]) };
  return { paint, front, shares: last.shares };
}

/** How sure each pixel of the frame is to belong to the chosen classes. */
function inside(chosen, view) {
  const count = info.classes.length;
  const plane = last.current
    ? mask.membership(last.current, count, Array.from({ length: count }, (_, c) => chosen(c)))
    : Float32Array.from(last.labels, (label) => (chosen(label) ? 1 : 0));
  if (!view.edges || !last.large) return mask.resized(plane, info.size, last.size);
  let parts = [plane, mask.brightness(last.small)], size = info.size;
  if (size.every((side) => side % 2 === 0 && side >= 128)) {
    parts = parts.map((part) => mask.halved(part, info.size));
    size = size.map((side) => side / 2);
  }
  return mask.guided(...parts, size, last.large, last.size);
}

async function answer({ task, ...data }) {
  if (task === "load") return load(data);
  if (task === "scores") return scores(data.rgb);
  if (task === "reset") return void (before = null);
  if (task === "masks") return last && masksOf(data.view);
  return frame(data);
}

let queue = Promise.resolve(); // one task after the other

self.onmessage = ({ data }) => {
  queue = queue.then(async () => {
    const bitmap = data.bitmap;
    try {
      const result = await answer(data);
      const buffers = [result?.paint, result?.front].filter(Boolean).map((part) => part.rgba.buffer);
      self.postMessage({ number: data.number, result, bitmap }, bitmap ? [...buffers, bitmap] : buffers);
    } catch (error) {
      const text = String(error?.message ?? error);
      self.postMessage({ number: data.number, error: text, bitmap }, bitmap ? [bitmap] : []);
    }
  });
};
