// From a model's output to probabilities, labels and soft masks. No DOM: the worker runs this.

// Every function works on plain arrays; planes are row by row, `size` is [height, width].

const [RED, GREEN, BLUE] = [0.299 / 255, 0.587 / 255, 0.114 / 255]; // of brightness

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
  if (classes === 2 && chosen[0] !== chosen[1]) {
    for (let i = 0, at = chosen[1] ? 1 : 0; i < plane.length; i++, at += 2) plane[i] = scores[at];
    return plane;
  }
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

/** Where each of `count` new pixels lies among `length` old ones: left and right neighbour, and the part between. */
function places(length, count) {
  const left = new Int32Array(count), right = new Int32Array(count), part = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const place = Math.min(Math.max(((i + 0.5) * length) / count - 0.5, 0), length - 1);
    left[i] = Math.floor(place);
    right[i] = Math.min(left[i] + 1, length - 1);
    part[i] = place - left[i];
  }
  return { left, right, part };
}

/** A plane at another size, bilinear with half-pixel centres (cv2.INTER_LINEAR). */
export function resized(plane, [height, width], [newHeight, newWidth]) {
  if (height === newHeight && width === newWidth) return plane;
  const result = new Float32Array(newHeight * newWidth), row = new Float32Array(width);
  const down = places(height, newHeight), across = places(width, newWidth);
  for (let y = 0, at = 0; y < newHeight; y++) {
    between(row, plane, down.left[y] * width, down.right[y] * width, down.part[y]);
    for (let x = 0; x < newWidth; x++, at++) {
      const value = row[across.left[x]];
      result[at] = value + across.part[x] * (row[across.right[x]] - value);
    }
  }
  return result;
}

/** RGBA pixels at another size, bilinear in the integers of cv2.INTER_LINEAR: not one grey level beside it. */
export function resizedBytes(rgba, [height, width], [newHeight, newWidth]) {
  if (height === newHeight && width === newWidth) return rgba;
  const result = new Uint8ClampedArray(4 * newHeight * newWidth).fill(255);
  const across = places(width, newWidth), row = (y) => 4 * width * Math.min(Math.max(y, 0), height - 1);
  const acrossSteps = Int32Array.from(across.part, inSteps);
  const mixed = (start, left, right, part) => ((STEPS - part) * rgba[start + left] + part * rgba[start + right]) >> 4;
  for (let y = 0, at = 0; y < newHeight; y++) {
    const place = ((y + 0.5) * height) / newHeight - 0.5, above = Math.floor(place), part = inSteps(place - above);
    const top = row(above), bottom = row(above + 1); // beyond the border both are the border's
    for (let x = 0; x < newWidth; x++, at += 4) {
      const left = 4 * across.left[x], right = 4 * across.right[x];
      for (let c = 0; c < 3; c++) {
        const first = ((STEPS - part) * mixed(top, left + c, right + c, acrossSteps[x])) >> 16;
        const second = (part * mixed(bottom, left + c, right + c, acrossSteps[x])) >> 16;
        result[at + c] = (first + second + 2) >> 2;
      }
    }
  }
  return result;
}

const STEPS = 2048; // in which OpenCV counts the way from one pixel to the next

/** Rounded to the even neighbour where both are as near, as OpenCV rounds. */
function inSteps(part) {
  const low = Math.floor(part * STEPS), rest = part * STEPS - low;
  return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
}

/** A row between two rows of a plane. */
function between(row, plane, top, bottom, part) {
  for (let x = 0; x < row.length; x++) row[x] = plane[top + x] + part * (plane[bottom + x] - plane[top + x]);
}

/** Brightness 0 to 1 of RGBA pixels. */
export function brightness(rgba) {
  const result = new Float32Array(rgba.length / 4);
  for (let i = 0, at = 0; i < result.length; i++, at += 4)
    result[i] = RED * rgba[at] + GREEN * rgba[at + 1] + BLUE * rgba[at + 2];
  return result;
}

/** A plane at half its size: the mean of each square of four pixels. */
export function halved(plane, [height, width]) {
  const [rows, columns] = [height >> 1, width >> 1], result = new Float32Array(rows * columns);
  for (let y = 0, at = 0; y < rows; y++)
    for (let x = 0, from = 2 * y * width; x < columns; x++, at++, from += 2)
      result[at] = (plane[from] + plane[from + 1] + plane[from + width] + plane[from + width + 1]) / 4;
  return result;
}

/**
 * A plane moved to the edges of an image: the guided filter (He, Sun, Tang, TPAMI 2013), its linear model fitted at
 * a small size and applied at the image's (He, Sun, arXiv:1505.00996).
 * small: the image's brightness at the plane's size. large: the image itself, RGBA, of newSize.
 */
export function guided(plane, small, size, large, newSize, radius = 2, epsilon = 1e-3) {
  const count = plane.length, products = new Float32Array(count), squares = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    products[i] = small[i] * plane[i];
    squares[i] = small[i] * small[i];
  }
  const meanI = boxMean(small, size, radius), meanP = boxMean(plane, size, radius);
  const meanIP = boxMean(products, size, radius), meanII = boxMean(squares, size, radius);
  for (let i = 0; i < count; i++) {
    const slope = (meanIP[i] - meanI[i] * meanP[i]) / (meanII[i] - meanI[i] * meanI[i] + epsilon);
    products[i] = slope;
    squares[i] = meanP[i] - slope * meanI[i];
  }
  return applied(boxMean(products, size, radius), boxMean(squares, size, radius), size, large, newSize);
}

/** slope * brightness + offset at another size, 0 to 1. */
function applied(slope, offset, [height, width], large, [newHeight, newWidth]) {
  const result = new Float32Array(newHeight * newWidth);
  const slopes = new Float32Array(width), offsets = new Float32Array(width);
  const down = places(height, newHeight), { left, right, part } = places(width, newWidth);
  for (let y = 0, at = 0, from = 0; y < newHeight; y++) {
    const top = down.left[y] * width, bottom = down.right[y] * width;
    between(slopes, slope, top, bottom, down.part[y]);
    between(offsets, offset, top, bottom, down.part[y]);
    for (let x = 0; x < newWidth; x++, at++, from += 4) {
      const l = left[x], r = right[x], t = part[x];
      const light = RED * large[from] + GREEN * large[from + 1] + BLUE * large[from + 2];
      const gain = slopes[l] + t * (slopes[r] - slopes[l]);
      result[at] = Math.min(Math.max(gain * light + offsets[l] + t * (offsets[r] - offsets[l]), 0), 1);
    }
  }
  return result;
}

/** The mean over a square of 2 * radius + 1 pixels a side, cut off at the border. */
export function boxMean(plane, [height, width], radius) {
  const rows = new Float32Array(plane.length), result = new Float32Array(plane.length);
  for (let start = 0; start < plane.length; start += width) {
    let sum = 0, count = 0;
    for (let x = -radius; x < width; x++) {
      if (x + radius < width) (sum += plane[start + x + radius]), count++;
      if (x > radius) (sum -= plane[start + x - radius - 1]), count--;
      if (x >= 0) rows[start + x] = sum / count;
    }
  }
  const sums = new Float64Array(width);
  for (let y = -radius, count = 0; y < height; y++) {
    const enters = (y + radius) * width, leaves = (y - radius - 1) * width, at = y * width;
    if (y + radius < height) {
      count++;
      for (let x = 0; x < width; x++) sums[x] += rows[enters + x];
    }
    if (y > radius) {
      count--;
      for (let x = 0; x < width; x++) sums[x] -= rows[leaves + x];
    }
    if (y >= 0) for (let x = 0; x < width; x++) result[at + x] = sums[x] / count;
  }
  return result;
}

/** RGBA of one colour, as opaque as a plane says: nothing below 0.3, all above 0.7, so that no ghost is left. */
export function tinted(plane, [red, green, blue]) {
  const steps = 1023, colours = new Uint32Array(steps + 1);
  for (let i = 0; i <= steps; i++) {
    const t = Math.min(Math.max((i / steps - 0.3) / 0.4, 0), 1);
    colours[i] = red | (green << 8) | (blue << 16) | (Math.round(255 * t * t * (3 - 2 * t)) << 24);
  }
  const result = new Uint32Array(plane.length);
  for (let i = 0; i < plane.length; i++) result[i] = colours[(plane[i] * steps + 0.5) | 0];
  return new Uint8ClampedArray(result.buffer);
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
  const counts = new Uint32Array(256);
  for (let i = 0; i < labels.length; i++) counts[labels[i]]++;
  return Float32Array.from(counts.subarray(0, classes), (count) => count / labels.length);
}
