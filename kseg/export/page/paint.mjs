// Draws a frame with its masks into the page's canvas.

const BLUR = 8; // the background is blurred at an eighth of its size

export class Painter {
  #output;
  #paint = surface();
  #front = surface();
  #behind = surface({ willReadFrequently: true });
  #cut = surface();

  constructor(canvas) {
    this.canvas = canvas;
    this.#output = canvas.getContext("2d", { alpha: false });
  }

  /** result: {bitmap, paint, front} of the engine. view: alpha, mirror, background, colour, image. */
  draw({ bitmap, paint, front }, view) {
    const { width, height } = bitmap;
    fit(this.canvas, width, height);
    const output = this.#output;
    output.setTransform(view.mirror ? -1 : 1, 0, 0, 1, view.mirror ? width : 0, 0);
    if (front && view.background !== "none") {
      const mask = put(this.#front, front);
      this.#drawBehind(output, bitmap, mask, view);
      output.drawImage(this.#cutOut(bitmap, mask), 0, 0, width, height);
    } else output.drawImage(bitmap, 0, 0, width, height);
    if (view.alpha > 0) {
      output.globalAlpha = view.alpha;
      output.drawImage(put(this.#paint, paint), 0, 0, width, height);
      output.globalAlpha = 1;
    }
  }

  #drawBehind(output, bitmap, mask, { background, colour, image, mirror }) {
    const { width, height } = bitmap;
    if (background === "blur") return output.drawImage(this.#blurred(bitmap, mask), 0, 0, width, height);
    output.fillStyle = colour;
    output.fillRect(0, 0, width, height);
    if (background !== "image" || !image) return;
    const scale = Math.max(width / image.width, height / image.height); // covers the frame, its middle in the middle
    const [across, down] = [image.width * scale, image.height * scale];
    output.save();
    if (mirror) output.setTransform(1, 0, 0, 1, 0, 0); // writing in it stays readable
    output.drawImage(image, (width - across) / 2, (height - down) / 2, across, down);
    output.restore();
  }

  #blurred(bitmap, mask) {
    const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side / BLUR)));
    const behind = this.#behind;
    fit(behind.canvas, width, height);
    behind.imageSmoothingQuality = "high";
    const shrunk = (image) => {
      behind.globalCompositeOperation = "copy"; // a mask does not cover what was there
      behind.drawImage(image, 0, 0, width, height);
      return behind.getImageData(0, 0, width, height);
    };
    const share = shrunk(mask).data;
    const pixels = shrunk(bitmap);
    blurBehind(pixels.data, share, width, height);
    behind.putImageData(pixels, 0, 0);
    return behind.canvas;
  }

  #cutOut(bitmap, mask) {
    const cut = this.#cut;
    fit(cut.canvas, bitmap.width, bitmap.height);
    cut.globalCompositeOperation = "copy";
    cut.drawImage(mask, 0, 0, bitmap.width, bitmap.height);
    cut.globalCompositeOperation = "source-in";
    cut.drawImage(bitmap, 0, 0, bitmap.width, bitmap.height);
    return cut.canvas;
  }
}

function surface(options) {
  return document.createElement("canvas").getContext("2d", options);
}

function fit(canvas, width, height) {
  if (canvas.width === width && canvas.height === height) return;
  canvas.width = width;
  canvas.height = height;
}

function put(context, { size: [height, width], rgba }) {
  fit(context.canvas, width, height);
  context.putImageData(new ImageData(rgba, width, height), 0, 0);
  return context.canvas;
}

/** Blurs RGBA pixels in place, each counted by what the alpha of the mask's pixel leaves free: the mean is of the
    background alone, as a bright person would shine into it all around. */
export function blurBehind(pixels, mask, width, height) {
  const values = new Float32Array(pixels.length); // red, green and blue by weight, and the weight
  for (let i = 0; i < pixels.length; i += 4) {
    values[i + 3] = 1.001 - mask[i + 3] / 255;
    for (let channel = 0; channel < 3; channel++) values[i + channel] = pixels[i + channel] * values[i + 3];
  }
  for (let round = 0; round < 3; round++) blurRows(values, width, height); // three boxes are nearly a Gaussian
  for (let i = 0; i < pixels.length; i += 4)
    for (let channel = 0; channel < 3; channel++) pixels[i + channel] = Math.round(values[i + channel] / values[i + 3]);
}

/** A box of five pixels a side over four channels, in place; the border's pixels count on beyond it. */
function blurRows(values, width, height) {
  const along = (lines, length, lineStep, step) => {
    const line = new Float32Array(length);
    for (let number = 0; number < lines; number++)
      for (let channel = 0; channel < 4; channel++) {
        const start = 4 * number * lineStep + channel;
        for (let i = 0; i < length; i++) line[i] = values[start + 4 * i * step];
        for (let i = 0; i < length; i++) {
          let sum = 0;
          for (let k = -2; k <= 2; k++) sum += line[Math.min(Math.max(i + k, 0), length - 1)];
          values[start + 4 * i * step] = sum / 5;
        }
      }
  };
  along(height, width, width, 1);
  along(width, height, 1, width);
}
