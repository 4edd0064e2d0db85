// The model for the page: fetches and checks its files, chooses how to run it, and talks to the worker.

import { Failure } from "./sentences.mjs";

// The smallest module with a SIMD instruction (i8x16.splat, i8x16.popcnt).
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** model.json of the folder, checked for what the page needs. */
export async function readModel(base = document.baseURI) {
  const response = await get(new URL("model.json", base), "model.json");
  let info;
  try {
    info = await response.json();
  } catch {
    throw new Failure("changed", "model.json");
  }
  const whole = info?.files && info.size?.length === 2 && info.classes?.length && info.palette?.length;
  if (!whole) throw new Failure("changed", "model.json");
  return info;
}

async function get(url, name) {
  let response;
  try {
    response = await fetch(url, { cache: "no-cache" });
  } catch {
    throw new Failure("unreachable", name);
  }
  if (!response.ok) throw new Failure("missing", name);
  return response;
}

/** A file of the model as bytes; a Failure where it is missing or not the one that model.json names. */
async function modelBytes(entry, base, progress) {
  const response = await get(new URL(entry.file, base), entry.file);
  const bytes = new Uint8Array(entry.bytes);
  let filled = 0;
  try {
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      if (filled + value.length > bytes.length) throw new Failure("changed", entry.file);
      bytes.set(value, filled);
      filled += value.length;
      progress?.(filled / bytes.length);
    }
  } catch (error) {
    throw error instanceof Failure ? error : new Failure("unreachable", entry.file);
  }
  const sha256 = crypto.subtle && hex(await crypto.subtle.digest("SHA-256", bytes)); // not on insecure hosts
  if (filled !== bytes.length || (sha256 && sha256 !== entry.sha256)) throw new Failure("changed", entry.file);
  return bytes;
}

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Whether a graphics processor (none that is played by the processor) answers. */
async function hasGPU() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  const played = adapter?.info?.isFallbackAdapter || adapter?.info?.architecture === "swiftshader";
  return Boolean(adapter) && !played;
}

/** A model that is loaded in a worker. Make one with `Engine.open`. */
export class Engine {
  #worker;
  #waiting = new Map();
  #number = 0;

  constructor(info, backend, precision) {
    Object.assign(this, { info, backend, precision, threads: 1, onlost: null, lost: false });
  }

  /**
   * Load a model.
   * info: what readModel gave. backend: "auto", "wasm" (processor) or "webgpu" (graphics). threads: at most.
   */
  static async open(info, { backend = "auto", threads, base = document.baseURI, progress } = {}) {
    if (typeof WebAssembly !== "object" || !WebAssembly.validate(SIMD)) throw new Failure("no-simd");
    threads = Math.max(1, Math.min(threads || 4, 4, navigator.hardwareConcurrency || 1));
    const gpu = backend === "webgpu" || (backend === "auto" && (info.files.float16 || info.files.float32) && (await hasGPU()));
    if (gpu) {
      try {
        return await Engine.#opened(info, "webgpu", threads, base, progress);
      } catch (error) {
        if (backend === "webgpu" && !(error instanceof Failure)) throw new Failure("no-webgpu", error.message);
        if (error instanceof Failure && error.code !== "engine") throw error;
        if (backend === "webgpu") throw new Failure("no-webgpu", error.detail);
      }
    }
    return Engine.#opened(info, "wasm", threads, base, progress);
  }

  static async #opened(info, backend, threads, base, progress) {
    const preferred = backend === "webgpu" ? ["float16", "float32", "int8"] : ["int8", "float32", "float16"];
    const precision = preferred.find((one) => info.files[one]);
    const engine = new Engine(info, backend, precision);
    const bytes = await modelBytes(info.files[precision], base, progress);
    engine.#worker = new Worker(new URL("worker.js", base));
    engine.#worker.onmessage = ({ data }) => engine.#answered(data);
    engine.#worker.onerror = (event) => engine.#lose(event.message || "worker.js");
    const { classes, palette, size, output } = info;
    const meta = { classes, palette, size, output, unpainted: unpaintedOf(info) };
    try {
      const made = await engine.#ask({ task: "load", meta, bytes, folder: info.runtime.folder, backend, threads });
      engine.threads = made.threads;
    } catch (error) {
      engine.close();
      throw new Failure("engine", error.message);
    }
    return engine;
  }

  /** The model's raw output for RGB pixels (Uint8Array) of its own size: {values, classes}. */
  scores(rgb) {
    return this.#ask({ task: "scores", rgb });
  }

  /** Masks of an ImageBitmap, which comes back with them: {bitmap, paint, front, shares, times}. */
  frame(bitmap, view) {
    return this.#ask({ task: "frame", bitmap, view }, [bitmap]);
  }

  /** Masks of the newest frame once more, for another view of it. */
  masks(view) {
    return this.#ask({ task: "masks", view });
  }

  /** Forget the frames before. */
  reset() {
    return this.#ask({ task: "reset" });
  }

  close() {
    this.#worker?.terminate();
    this.#lose(null);
  }

  #ask(data, transfer = []) {
    return new Promise((resolve, reject) => {
      if (this.lost) return reject(new Error("the engine is closed"));
      this.#waiting.set(++this.#number, { resolve, reject });
      this.#worker.postMessage({ ...data, number: this.#number }, transfer);
    });
  }

  #answered({ number, result, error, bitmap }) {
    const waiting = this.#waiting.get(number);
    this.#waiting.delete(number);
    if (error === undefined) return waiting?.resolve(bitmap ? { ...result, bitmap } : result);
    bitmap?.close();
    waiting?.reject(new Error(error));
  }

  #lose(why) {
    this.lost = true;
    for (const { reject } of this.#waiting.values()) reject(new Error(why ?? "the engine is closed"));
    this.#waiting.clear();
    if (why) this.onlost?.(why);
  }
}

/** The class that is left clear, 0 or null: that of what belongs to no class. */
export function unpaintedOf({ classes }) {
  return ["background", "unlabeled", "void"].includes(classes[0].toLowerCase()) ? 0 : null;
}
