// Unpacks what the server sends: numbers travel as base64 of their bytes.

export const unpack = (text, Kind) => new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

export const pack = (numbers) => {
  const bytes = new Uint8Array(Uint32Array.from(numbers).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};

// Least and greatest coordinate along each axis over all layers, so that one view holds them all.
const boundsOf = (coordinates, dimensions) => {
  const bounds = Array.from({ length: dimensions }, () => [Infinity, -Infinity]);
  coordinates.forEach((value, i) => {
    const axis = bounds[i % dimensions];
    if (value < axis[0]) axis[0] = value;
    if (value > axis[1]) axis[1] = value;
  });
  return bounds;
};

// Coordinates are 16-bit steps between -1 and 1, layer after layer, row after row.
export const decodePoints = ({ ids, coordinates, layers, dimensions }) => {
  const all = Float32Array.from(unpack(coordinates, Int16Array), (step) => step / 32767);
  const size = all.length / layers;
  return {
    ids: unpack(ids, Uint32Array),
    layers: Array.from({ length: layers }, (_, i) => all.subarray(i * size, (i + 1) * size)),
    dimensions,
    bounds: boundsOf(all, dimensions),
  };
};

export const decodeAbout = ({ labels, titles, pictures }) => ({
  labels: unpack(labels, Uint16Array),
  titles,
  pictures,
});
