// The page: what is pressed, what is shown, and the way of a frame from its source through the engine to the canvas.

import { Engine, readModel } from "./engine.mjs";
import { Painter } from "./paint.mjs";
import { Recorder, save, stamp } from "./record.mjs";
import { Failure, sentence } from "./sentences.mjs";
import { cameraAllowed, cameras, openCamera, openFile } from "./source.mjs";

const $ = (id) => document.getElementById(id);
const BACKGROUNDS = ["none", "blur", "colour", "image"];
const READING = 250; // milliseconds for which numbers on the screen stand

const options = new URLSearchParams(location.search);
const painter = new Painter($("canvas"));
const recorder = new Recorder($("canvas"), (file, why) => recorded(file, why));
const view = {
  alpha: 0.5, only: null, background: "none", colour: "#00a050", image: null,
  mirror: false, smoothing: true, edges: true,
};
let info = null, engine = null, opening = null, source = null, shown = null;
let paused = false, step = false, busy = false, waiting = false, starts = 0, told = 0, graphicsFailed = false;
const drawn = []; // times at which the newest frames were drawn

// ---- What is said

function say(text) {
  $("status").textContent = text;
}

function fail(error) {
  if (!(error instanceof Failure)) console.error(error);
  say(error instanceof Failure ? error.message : sentence("stopped", error.message));
}

// ---- The model

/** The engine that runs, or a new one; what was refused is tried again at the next call. */
async function ready() {
  if (engine && !engine.lost) return engine;
  opening ??= open().finally(() => (opening = null));
  return opening;
}

async function open() {
  info ??= await readModel();
  showModel();
  say("Loading the model…");
  const progress = (part) => say(`Loading the model… ${Math.round(100 * part)} %`);
  const threads = Number(options.get("threads")) || undefined;
  const backend = $("backend").value === "auto" && graphicsFailed ? "wasm" : $("backend").value;
  engine = await Engine.open(info, { backend, threads, progress });
  engine.onlost = (why) => fail(new Failure("stopped", why));
  const count = engine.threads === 1 ? "1 thread" : `${engine.threads} threads`;
  $("running").textContent = engine.backend === "webgpu" ? `${engine.precision}, graphics` : `${engine.precision}, ${count}`;
  return engine;
}

function showModel() {
  $("title").textContent = document.title = `kseg: ${info.name}`;
  if ($("classes").children.length) return;
  info.classes.forEach((name, number) => {
    const [item, button, chip, label, share] = ["li", "button", "span", "span", "span"].map((tag) => document.createElement(tag));
    chip.className = "chip";
    chip.style.backgroundColor = `rgb(${info.palette[number]})`;
    label.textContent = name;
    share.className = "share";
    button.append(chip, label, share);
    button.ariaPressed = "false";
    button.title = `Paint ${name} only`;
    button.onclick = () => change({ only: view.only === number ? null : number });
    item.append(button);
    $("classes").append(item);
  });
}

// ---- The source

/** Make another source the current one. `make` opens it; a later start wins over one that is still opening. */
async function start(make, words) {
  const mine = ++starts;
  stop("");
  say(words);
  try {
    await ready();
    if (mine !== starts) return;
    say(words);
    const made = await make();
    if (mine !== starts) return made.close();
    source = made;
    await engine.reset();
    source.onframe = pump;
    source.onended = () => {
      stop("");
      fail(new Failure("unplugged"));
    };
    source.onmuted = (muted) => say(muted ? "The camera gives no images at the moment." : "");
    change({ mirror: source.kind === "camera" && source.facing !== "environment" });
    say("");
    showRunning();
    if (source.kind === "camera") await listCameras(source.id);
    pump();
  } catch (error) {
    if (mine === starts) fail(error);
  }
}

function stop(words = "Stopped.") {
  starts += words ? 1 : 0;
  recorder.stop();
  source?.close();
  source = null;
  paused = step = waiting = false;
  drawn.length = 0;
  $("rate").textContent = "";
  say(words);
  showRunning();
}

const startCamera = (which) => start(() => openCamera($("video"), which), "Opening the camera…");

function showRunning() {
  const runs = Boolean(source);
  $("start").textContent = runs ? "Stop" : "Start camera";
  $("pause").disabled = !runs;
  $("pause").ariaPressed = String(paused);
  $("pause").textContent = paused ? "Go on" : "Pause";
  $("snapshot").disabled = !shown;
  $("record").disabled = !runs;
  $("record").ariaPressed = String(recorder.runs);
  $("record").textContent = recorder.runs ? "End recording" : "Record";
}

async function listCameras(chosen) {
  const found = await cameras();
  $("camera").replaceChildren(new Option("Any", ""),
    ...found.map((device, i) => new Option(device.label || `Camera ${i + 1}`, device.deviceId)));
  $("camera").value = chosen ?? $("camera").value;
  if ($("camera").selectedIndex < 0) $("camera").value = "";
  $("camera").disabled = found.length < 1;
  $("flip").disabled = found.length < 2;
}

// ---- Frames

/** A frame may be there: take it unless the engine works on one or nothing shall move. */
async function pump() {
  if (!source || !engine || engine.lost || document.hidden || (paused && !step)) return;
  if (busy) return void (waiting = true);
  busy = true;
  step = waiting = false;
  const from = source, asked = { ...view };
  const grabbed = performance.now();
  try {
    const bitmap = await from.grab().catch((error) => {
      if (from.kind === "image") throw error;
      return null; // a frame that was not there yet
    });
    const result = bitmap && (await engine.frame(bitmap, wanted()));
    busy = false;
    if (waiting) pump(); // the engine has the next frame while this one is drawn
    if (result && from === source) show(result, grabbed, asked);
    else result?.bitmap.close();
  } catch (error) {
    busy = false;
    if (from !== source) return void (waiting && pump());
    stop("");
    graphicsFailed ||= engine?.backend === "webgpu"; // the next start takes the processor
    engine?.close();
    engine = null;
    fail(error);
  }
}

/** What the engine needs to know of the view. */
const wanted = () => ({ only: view.only, background: view.background, smoothing: view.smoothing, edges: view.edges });

function show(result, grabbed, asked) {
  shown?.bitmap.close();
  shown = result;
  draw();
  const now = performance.now();
  drawn.push(now);
  if (drawn.length > 30) drawn.shift();
  if (now - told > READING || source?.kind === "image") tell(now, now - grabbed);
  if (!same(asked, view)) refresh(); // changed while the engine worked
  if ($("snapshot").disabled) showRunning();
}

const same = (a, b) => ["only", "background", "edges"].every((key) => a[key] === b[key]);

function draw() {
  if (shown) painter.draw(shown, view);
}

/** Frames a second, latency and shares, no faster than a person reads. */
function tell(now, latency) {
  told = now;
  const fps = ((drawn.length - 1) * 1000) / (now - drawn[0]);
  const rate = source?.kind !== "image" && drawn.length > 2 ? `${fps.toFixed(1)} fps, ` : "";
  $("rate").textContent = `${rate}${latency.toFixed(0)} ms`;
  const rows = [...$("classes").children];
  rows.forEach((row, number) => {
    const share = shown.shares[number];
    row.hidden = rows.length > 8 && share < 0.001 && view.only !== number;
    row.querySelector(".share").textContent = `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
  });
  const words = info.classes.map((name, i) => [shown.shares[i], name]).filter(([share]) => share >= 0.005).sort((a, b) => b[0] - a[0]);
  $("canvas").ariaLabel = `Image with ${words.slice(0, 5).map(([share, name]) => `${name} ${Math.round(100 * share)} %`).join(", ")}`;
}

/** The held frame's masks for another view of it. */
async function refresh() {
  if (!shown || !engine || engine.lost) return;
  const result = await engine.masks(wanted()).catch(() => null);
  if (result && (paused || source?.kind === "image" || !source)) {
    Object.assign(shown, result);
    draw();
  }
}

// ---- The view

function change(part) {
  const before = { ...view };
  Object.assign(view, part);
  $("alpha").value = view.alpha;
  $("background").value = view.background;
  for (const name of ["mirror", "smoothing", "edges"]) $(name).checked = view[name];
  $("colour").hidden = view.background !== "colour";
  $("choose").hidden = view.background !== "image";
  [...$("classes").children].forEach((row, i) => (row.firstChild.ariaPressed = String(view.only === i)));
  if (!same(before, view)) refresh();
  draw();
}

function press(key) {
  const percent = (value) => Math.round(100 * Math.min(Math.max(value, 0), 1)) / 100;
  const actions = {
    "+": () => change({ alpha: percent(view.alpha + 0.1) }),
    "-": () => change({ alpha: percent(view.alpha - 0.1) }),
    m: () => change({ mirror: !view.mirror }),
    c: () => info && change({ only: view.only === null ? 0 : view.only + 1 < info.classes.length ? view.only + 1 : null }),
    b: () => change({ background: BACKGROUNDS[(BACKGROUNDS.indexOf(view.background) + 1) % BACKGROUNDS.length] }),
    t: () => change({ smoothing: !view.smoothing }),
    e: () => change({ edges: !view.edges }),
    l: () => ($("rate").hidden = $("legend").hidden = !$("legend").hidden),
    " ": pause,
    ".": () => paused && ((step = true), source?.hold(false), pump()),
    s: snapshot,
    r: record,
    q: () => source && stop(),
    h: () => ($("keys").open ? $("keys").close() : $("keys").showModal()),
  };
  const action = actions[{ "=": "+", _: "-", "?": "h" }[key] ?? key];
  action?.();
  return Boolean(action);
}

function pause() {
  if (!source) return;
  paused = !paused;
  source.hold(paused);
  say(paused ? "Paused." : "");
  showRunning();
  if (!paused) pump();
}

function snapshot() {
  if (!shown) return;
  draw();
  $("canvas").toBlob((blob) => save(blob, `kseg-${stamp()}.png`), "image/png");
}

function record() {
  if (!source) return;
  try {
    if (recorder.runs) recorder.stop();
    else recorder.start();
  } catch (error) {
    fail(error);
  }
  showRunning();
}

function recorded(file, why) {
  if (why) fail(new Failure("not-recorded", why));
  if (file) save(file, `kseg-${stamp()}.${file.type.includes("mp4") ? "mp4" : "webm"}`);
  showRunning();
}

async function chooseBehind(file) {
  const image = await createImageBitmap(file).catch(() => null);
  if (!image) return fail(new Failure("unreadable", file.name));
  view.image?.close();
  change({ image, background: "image" });
}

// ---- What is pressed

$("start").onclick = () => (source ? stop() : startCamera({ id: $("camera").value, facing: "user" }));
$("camera").onchange = () => startCamera({ id: $("camera").value, facing: "user" });
$("flip").onclick = () => startCamera({ facing: source?.facing === "environment" ? "user" : "environment" });
$("pause").onclick = pause;
$("open").onclick = () => $("file").click();
const openAny = (file) => file && start(() => openFile($("video"), file), "Opening the file…");
$("file").onchange = () => {
  openAny($("file").files[0]);
  $("file").value = "";
};
$("choose").onclick = () => $("behind").click();
$("behind").onchange = () => $("behind").files[0] && chooseBehind($("behind").files[0]);
$("alpha").oninput = () => change({ alpha: Number($("alpha").value) });
$("background").onchange = () => change({ background: $("background").value });
$("colour").oninput = () => change({ colour: $("colour").value });
for (const name of ["mirror", "smoothing", "edges"]) $(name).onchange = () => change({ [name]: $(name).checked });
$("snapshot").onclick = snapshot;
$("record").onclick = record;
$("help").onclick = () => $("keys").showModal();
$("close").onclick = () => $("keys").close();
$("backend").onchange = () => {
  engine?.close();
  engine = null;
  const again = source?.kind === "camera" ? { id: source.id, facing: source.facing } : null;
  stop("");
  if (again) startCamera(again);
  else ready().then(() => say(""), fail);
};

document.addEventListener("keydown", (event) => {
  const busyElsewhere = event.target.closest("select, input:not([type=checkbox]), dialog") && event.key !== "Escape";
  const ownSpace = event.key === " " && event.target.closest("button, input");
  if (event.ctrlKey || event.altKey || event.metaKey || busyElsewhere || ownSpace) return;
  if (press(event.key)) event.preventDefault();
});
// A button that was clicked gives up the focus, so that the space bar then pauses; keyboards keep it.
document.addEventListener("click", (event) => event.detail > 0 && event.target.closest("button")?.blur());
document.addEventListener("visibilitychange", () => {
  if (!source || paused) return;
  say(document.hidden ? "Resting while this tab is in the background." : "");
  if (!document.hidden) engine?.reset().catch(() => {}).then(pump);
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  openAny(event.dataTransfer.files[0]);
});
navigator.mediaDevices?.addEventListener?.("devicechange", () => listCameras());

// ---- The beginning

$("backend").value = ["wasm", "webgpu"].includes(options.get("backend")) ? options.get("backend") : "auto";
$("start").disabled = $("open").disabled = false;
say("Loading the model…");
ready().then(
  () => say(cameraAllowed() ? "Press Start camera, or open an image or a video." : sentence("insecure")),
  fail,
);
listCameras();
