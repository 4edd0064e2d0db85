// Saves what the canvas shows, as an image or as a video.

import { Failure } from "./sentences.mjs";

const TYPES = ["video/mp4;codecs=avc1.42E01E", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];

export class Recorder {
  #recorder = null;

  /** ended: called with the file (or null) and with the reason where it ended by itself. */
  constructor(canvas, ended) {
    Object.assign(this, { canvas, ended });
  }

  get runs() {
    return this.#recorder !== null;
  }

  start() {
    const type = window.MediaRecorder && TYPES.find((one) => MediaRecorder.isTypeSupported(one));
    if (!type || !this.canvas.captureStream) throw new Failure("no-recorder");
    const stream = this.canvas.captureStream(30);
    const recorder = new MediaRecorder(stream, { mimeType: type });
    const parts = [];
    let why = "";
    recorder.ondataavailable = ({ data }) => data.size && parts.push(data);
    recorder.onerror = (event) => (why = event.error?.message ?? "the browser's encoder failed");
    recorder.onstop = () => {
      for (const track of stream.getTracks()) track.stop();
      if (this.#recorder === recorder) this.#recorder = null;
      this.ended(parts.length ? new Blob(parts, { type: type.split(";")[0] }) : null, why);
    };
    recorder.start(1000);
    this.#recorder = recorder;
  }

  stop() {
    const recorder = this.#recorder;
    this.#recorder = null;
    if (recorder && recorder.state !== "inactive") recorder.stop();
  }
}

/** Hand a file to the user's downloads. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/** The time as 20260131-235959. */
export function stamp() {
  const now = new Date();
  const two = (...parts) => parts.map((part) => String(part).padStart(2, "0")).join("");
  const day = two(now.getFullYear(), now.getMonth() + 1, now.getDate());
  return `${day}-${two(now.getHours(), now.getMinutes(), now.getSeconds())}`;
}
