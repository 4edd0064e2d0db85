// From a model's output to probabilities, labels and soft masks. No DOM: the worker runs this.

// Every function works on plain arrays; planes are row by row, `size` is [height, width].

/**
 * Probabilities (pixels x classes) of a model's output, or null where it is class ids.
 * kind: what model.json calls the output. One channel says how sure a pixel is to be the object.
 */
export function probabilities(output, classes, kind) {
  if (kind === "class_ids") return null;
  const ready = kind === "probabilities";
  if (classes === 1) return twoClasses(ready ? output : output.map((v) => 1 / (1 + Math.exp(-v))));
  if (ready) return output;
  const pixels = output.length / classes;
  const result = new Float32Array(output.length);
  for (let i = 0, at = 0; i < pixels; i++, at += classes) {
    if (classes === 2) {
      result[at + 1] = 1 / (1 + Math.exp(output[at] - output[at + 1]));
      result[at] = 1 - result[at + 1];
      continue;
    }
    let top = output[at];
    for (let c = 1; c < classes; c++) if (output[at + c] > top) top = output[at + c];
    let total = 0;
    for (let c = 0; c < classes; c++) total += result[at + c] = Math.exp(output[at + c] - top);
    for (let c = 0; c < classes; c++) result[at + c] /= total;
  }
  return result;
}

function twoClasses(second) {
  const result = new Float32Array(second.length * 2);
  for (let i = 0; i < second.length; i++) {
    result[2 * i] = 1 - second[i];
    result[2 * i + 1] = second[i];
  }
  return result;
}

/** Moving average against flicker; a pixel whose probability jumps takes the new value, so nothing trails. */
export function smoothed(before, now, classes, weight, jump) {
  if (!before || before.length !== now.length) return now;
  const result = new Float32Array(now.length);
  for (let at = 0; at < now.length; at += classes) {
    let moved = false;
    for (let c = 0; c < classes; c++) {
      const difference = now[at + c] - before[at + c];
      if (difference > jump || difference < -jump) moved = true;
      result[at + c] = now[at + c] - weight * difference;
    }
    if (moved) for (let c = 0; c < classes; c++) result[at + c] = now[at + c];
  }
  return result;
}

/** The most probable class of each pixel, the first of equals. */
export function labelsOf(scores, classes) {
  const labels = new Uint8Array(scores.length / classes);
  for (let i = 0, at = 0; i < labels.length; i++, at += classes) {
    let best = scores[at], label = 0;
    for (let c = 1; c < classes; c++) if (scores[at + c] > best) (best = scores[at + c]), (label = c);
    labels[i] = label;
  }
  return labels;
}

/** How sure each pixel is to be in `chosen` rather than outside: 0.5 lies where the label changes. */
export function membership(scores, classes, chosen) {
  const plane = new Float32Array(scores.length / classes);
  for (let i = 0, at = 0; i < plane.length; i++, at += classes) {
    let inside = 0, outside = 0;
    for (let c = 0; c < classes; c++) {
      const value = scores[at + c];
      if (chosen[c]) inside = value > inside ? value : inside;
      else outside = value > outside ? value : outside;
    }
    plane[i] = inside / (inside + outside || 1);
  }
  return plane;
}

/** A plane at another size, bilinear with half-pixel centres (cv2.INTER_LINEAR). */
export function resized(plane, [height, width], [newHeight, newWidth]) {
  if (height === newHeight && width === newWidth) return plane;
  const result = new Float32Array(newHeight * newWidth);
  const left = new Int32Array(newWidth), right = new Int32Array(newWidth), part = new Float32Array(newWidth);
  for (let x = 0; x < newWidth; x++) {
    const place = Math.min(Math.max(((x + 0.5) * width) / newWidth - 0.5, 0), width - 1);
    left[x] = Math.floor(place);
    right[x] = Math.min(left[x] + 1, width - 1);
    part[x] = place - left[x];
  }
  const row = new Float32Array(width);
  for (let y = 0, at = 0; y < newHeight; y++) {
    const place = Math.min(Math.max(((y + 0.5) * height) / newHeight - 0.5, 0), height - 1);
    const top = Math.floor(place) * width, bottom = Math.min(Math.floor(place) + 1, height - 1) * width;
    const share = place - Math.floor(place);
    for (let x = 0; x < width; x++) row[x] = plane[top + x] + share * (plane[bottom + x] - plane[top + x]);
    for (let x = 0; x < newWidth; x++, at++) result[at] = row[left[x]] + part[x] * (row[right[x]] - row[left[x]]);
  }
  return result;
}

/** Brightness 0 to 1 of RGBA pixels. */
export function brightness(rgba) {
  const result = new Float32Array(rgba.length / 4);
  for (let i = 0, at = 0; i < result.length; i++, at += 4)
    result[i] = (0.299 * rgba[at] + 0.587 * rgba[at + 1] + 0.114 * rgba[at + 2]) / 255;
  return result;
}

/**
 * A plane moved to the edges of an image: the guided filter (He, Sun, Tang, TPAMI 2013), its linear model fitted at
 * the mask's size and applied at the image's (He, Sun, arXiv:1505.00996).
 */
export function guided(plane, small, size, large, newSize, radius = 4, epsilon = 1e-3) {
  const product = (a, b) => a.map((value, i) => value * b[i]);
  const [meanI, meanP, meanIP, meanII] = [small, plane, product(small, plane), product(small, small)].map((part) =>
    boxMean(part, size, radius));
  const slope = new Float32Array(plane.length), offset = new Float32Array(plane.length);
  for (let i = 0; i < plane.length; i++) {
    slope[i] = (meanIP[i] - meanI[i] * meanP[i]) / (meanII[i] - meanI[i] * meanI[i] + epsilon);
    offset[i] = meanP[i] - slope[i] * meanI[i];
  }
  const a = resized(boxMean(slope, size, radius), size, newSize);
  const b = resized(boxMean(offset, size, radius), size, newSize);
  const result = new Float32Array(large.length);
  for (let i = 0; i < result.length; i++) result[i] = Math.min(Math.max(a[i] * large[i] + b[i], 0), 1);
  return result;
}

/** The mean over a square of 2 * radius + 1 pixels a side, cut off at the border. */
export function boxMean(plane, [height, width], radius) {
  const rows = new Float32Array(plane.length), result = new Float32Array(plane.length);
  meanAlong(plane, rows, height, width, width, 1, radius);
  meanAlong(rows, result, width, height, 1, width, radius);
  return result;
}

function meanAlong(from, to, lines, length, lineStep, step, radius) {
  for (let line = 0; line < lines; line++) {
    const start = line * lineStep;
    let sum = 0, count = 0;
    for (let i = 0; i < Math.min(radius, length); i++, count++) sum += from[start + i * step];
    for (let i = 0; i < length; i++) {
      if (i + radius < length) (sum += from[start + (i + radius) * step]), count++;
      if (i - radius > 0) (sum -= from[start + (i - radius - 1) * step]), count--;
      to[start + i * step] = sum / count;
    }
  }
}

/** Opacity 0 to 255: nothing below 0.3, all above 0.7, so that no ghost of the background is left. */
export function softStep(plane) {
  const result = new Uint8ClampedArray(plane.length);
  for (let i = 0; i < plane.length; i++) {
    const t = Math.min(Math.max((plane[i] - 0.3) / 0.4, 0), 1);
    result[i] = 255 * t * t * (3 - 2 * t);
  }
  return result;
}

/** RGBA of one colour with an opacity for each pixel. */
export function tinted(opacity, [red, green, blue]) {
  const result = new Uint8ClampedArray(4 * opacity.length);
  for (let i = 0, at = 0; i < opacity.length; i++, at += 4) {
    result[at] = red;
    result[at + 1] = green;
    result[at + 2] = blue;
    result[at + 3] = opacity[i];
  }
  return result;
}

/** RGBA of labels through a palette; `unpainted` (a class or null) stays clear. */
export function coloured(labels, palette, unpainted) {
  const result = new Uint8ClampedArray(4 * labels.length);
  for (let i = 0, at = 0; i < labels.length; i++, at += 4) {
    const colour = palette[labels[i]];
    if (labels[i] === unpainted || !colour) continue;
    result[at] = colour[0];
    result[at + 1] = colour[1];
    result[at + 2] = colour[2];
    result[at + 3] = 255;
  }
  return result;
}

/** Each class's share of the pixels. */
export function sharesOf(labels, classes) {
  const shares = new Float32Array(classes);
  for (const label of labels) if (label < classes) shares[label] += 1 / labels.length;
  return shares;
}
