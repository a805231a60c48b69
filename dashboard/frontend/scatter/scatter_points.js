// Fetches Plotly and the points, each once, and unpacks them. Read together with scatter.js.

const fetched = new Map();

// Keeps what it fetched; a few sets of points are enough to go back and forth.
const fetchOnce = (url, decode) => {
  if (!fetched.has(url)) {
    const answer = fetch(url).then(async (response) => {
      if (!response.ok) throw new Error(`${url}: ${response.status}`);
      return decode(await response.json());
    });
    answer.catch(() => fetched.delete(url));
    fetched.set(url, answer);
    if (fetched.size > 8) fetched.delete(fetched.keys().next().value);
  }
  return fetched.get(url);
};

const loadPlotly = (url) => {
  window.playgroundPlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      script.remove();
      window.playgroundPlotly = undefined;
      reject(new Error(url));
    };
    document.head.append(script);
  });
  return window.playgroundPlotly;
};

const unpack = (text, Kind) => new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

const pack = (numbers) => {
  const bytes = new Uint8Array(Uint32Array.from(numbers).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
};

// The least and greatest coordinate in each direction, over all layers: one view holds them all.
const boundsOf = (coordinates, dimensions) => {
  const bounds = Array.from({ length: dimensions }, () => [Infinity, -Infinity]);
  coordinates.forEach((value, i) => {
    const one = bounds[i % dimensions];
    if (value < one[0]) one[0] = value;
    if (value > one[1]) one[1] = value;
  });
  return bounds;
};

const decodePoints = ({ ids, coordinates, layers, dimensions }) => {
  const steps = unpack(coordinates, Int16Array);
  const size = steps.length / layers;
  const all = Float32Array.from(steps, (step) => step / 32767);
  const places = Array.from({ length: layers }, (_, i) => all.subarray(i * size, (i + 1) * size));
  return { ids: unpack(ids, Uint32Array), places, dimensions, bounds: boundsOf(all, dimensions) };
};

const decodeAbout = ({ labels, titles, pictures }) => ({
  labels: unpack(labels, Uint16Array),
  titles,
  pictures,
});
