// Where frames come from: a camera, a video file, an image file.

import { cameraFailure, Failure } from "./sentences.mjs";

const LARGEST = 4096; // longer side of an image

/** Whether this page may ask for a camera at all. */
export const cameraAllowed = () => Boolean(window.isSecureContext && navigator.mediaDevices?.getUserMedia);

export async function cameras() {
  if (!cameraAllowed()) return [];
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  return devices.filter((device) => device.kind === "videoinput");
}

/** Open a camera by its id, or by where it looks ("user" or "environment"). */
export async function openCamera(video, { id, facing }) {
  if (!cameraAllowed()) throw new Failure("insecure");
  const which = id ? { deviceId: { exact: id } } : { facingMode: facing };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { ...which, width: { ideal: 640 }, height: { ideal: 480 } },
    });
  } catch (error) {
    if (error.name !== "OverconstrainedError") throw cameraFailure(error);
    stream = await navigator.mediaDevices.getUserMedia({ video: true }).catch((other) => {
      throw cameraFailure(other);
    });
  }
  const [track] = stream.getVideoTracks();
  const source = new VideoSource(video, "camera", track.label || "camera", () => track.stop());
  const settings = track.getSettings();
  source.id = settings.deviceId;
  source.facing = settings.facingMode;
  track.onended = () => source.onended?.();
  track.onmute = () => source.onmuted?.(true);
  track.onunmute = () => source.onmuted?.(false);
  video.srcObject = stream;
  await playing(video).catch((error) => {
    source.close();
    throw new Failure("camera-failed", error.message);
  });
  return source;
}

/** Open an image or a video. */
export async function openFile(video, file) {
  const bitmap = file.type.startsWith("video/") ? null : await createImageBitmap(file).catch(() => null);
  if (bitmap) return new ImageSource(await fitting(bitmap), file.name);
  const address = URL.createObjectURL(file);
  const source = new VideoSource(video, "video", file.name, () => URL.revokeObjectURL(address));
  video.src = address;
  video.loop = true;
  await playing(video).catch(() => {
    source.close();
    throw new Failure("unreadable", file.name);
  });
  return source;
}

/** An image that every browser's canvas holds. */
async function fitting(bitmap) {
  const shrink = LARGEST / Math.max(bitmap.width, bitmap.height);
  if (shrink >= 1) return bitmap;
  const [resizeWidth, resizeHeight] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * shrink)));
  const smaller = await createImageBitmap(bitmap, { resizeWidth, resizeHeight, resizeQuality: "high" });
  bitmap.close();
  return smaller;
}

async function playing(video) {
  await video.play();
  if (!video.videoWidth) throw new Error("it has no frames");
}

class VideoSource {
  constructor(video, kind, name, release) {
    Object.assign(this, { video, kind, name, release, onframe: null, onended: null, closed: false });
    this.#listen();
  }

  #listen() {
    if (this.closed) return;
    const heard = () => {
      if (this.closed) return;
      if (this.video.readyState >= 2) this.onframe?.();
      this.#listen();
    };
    if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(heard);
    else requestAnimationFrame(heard);
  }

  grab() {
    return createImageBitmap(this.video);
  }

  hold(still) {
    if (this.kind !== "video") return;
    if (still) this.video.pause();
    else this.video.play().catch(() => {});
  }

  close() {
    this.closed = true;
    this.video.pause();
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.release();
  }
}

class ImageSource {
  kind = "image";

  constructor(bitmap, name) {
    Object.assign(this, { bitmap, name, onframe: null, closed: false });
    queueMicrotask(() => queueMicrotask(() => this.onframe?.()));
  }

  grab() {
    return createImageBitmap(this.bitmap);
  }

  hold() {}

  close() {
    this.closed = true;
    this.bitmap.close();
  }
}
