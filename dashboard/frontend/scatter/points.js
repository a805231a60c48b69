// Unpacks what the server sends: numbers travel as base64 of their bytes.

import { boxOf } from "./view.js";

export const unpack = (text, Kind) => new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

export const pack = (numbers) => {
  const bytes = new Uint8Array(Uint32Array.from(numbers).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};

// Coordinates are 16-bit steps between -1 and 1, layer after layer, row after row.
export const decodePoints = ({ ids, coordinates, layers, dimensions }) => {
  const all = Float32Array.from(unpack(coordinates, Int16Array), (step) => step / 32767);
  const size = all.length / layers;
  const each = Array.from({ length: layers }, (_, i) => all.subarray(i * size, (i + 1) * size));
  const rows = Array.from({ length: size / dimensions }, (_, row) => row);
  return {
    ids: unpack(ids, Uint32Array),
    layers: each,
    dimensions,
    // Around the points of each layer: the view follows them.
    boxes: each.map((coordinates) => boxOf(coordinates, dimensions, rows)),
  };
};

export const decodeAbout = ({ labels, titles, pictures }) => ({
  labels: unpack(labels, Uint16Array),
  titles,
  pictures,
});
