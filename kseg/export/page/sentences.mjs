// What the page says when something fails: what happened, and what to do.

export class Failure extends Error {
  constructor(code, detail = "") {
    super(sentence(code, detail));
    Object.assign(this, { name: "Failure", code, detail });
  }
}

const SENTENCES = {
  refused: () =>
    "The camera was not allowed. Allow it for this page in the address bar or in the system's settings, then press " +
    "Start. An image or a video works without a camera.",
  "no-camera": () => "No camera was found. Connect one and press Start, or open an image or a video.",
  "camera-busy": () => "The camera does not answer. Close other programs that use it, then press Start.",
  "camera-failed": (detail) => `The camera could not be opened (${detail}). Press Start to try again.`,
  unplugged: () => "The camera was disconnected. Connect it and press Start.",
  insecure: () =>
    "Browsers give a camera only to pages opened by https:// or from http://localhost. Open this page in such a way. " +
    "An image or a video works here too.",
  "no-simd": () => "This browser's WebAssembly has no SIMD instructions, which the model needs. Update the browser.",
  "no-webgpu": () => "The model does not run on this device's graphics processor. Choose Processor, then press Start.",
  missing: (name) => `The file ${name} is missing from this site. Export the site again, then press Start.`,
  unreachable: (name) => `The file ${name} could not be fetched. Check the connection, then press Start.`,
  changed: (name) => `The file ${name} is not the one that was exported with this page. Export the site again.`,
  engine: (detail) => `The model could not be started (${detail}). Press Start to try again.`,
  stopped: (detail) => `The model stopped (${detail}). Press Start to load it again.`,
  unreadable: (name) => `${name} is neither an image nor a video that this browser can show. Choose another file.`,
  "no-recorder": () => "This browser cannot record. Snapshot saves single images.",
  "not-recorded": (detail) => `The recording ended: ${detail}.`,
};

export function sentence(code, detail = "") {
  return SENTENCES[code](detail);
}

/** A Failure for an error of getUserMedia. */
export function cameraFailure(error) {
  const codes = {
    NotAllowedError: "refused",
    SecurityError: "refused",
    NotFoundError: "no-camera",
    NotReadableError: "camera-busy",
    AbortError: "camera-busy",
  };
  return new Failure(codes[error.name] ?? "camera-failed", error.message || error.name);
}
