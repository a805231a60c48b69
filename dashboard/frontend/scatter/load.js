const KEPT = 8; // sets of points to keep, enough to go back and forth
const fetched = new Map();

// Fetches and decodes a URL once; a failure is tried again the next time.
export const fetchOnce = (url, decode) => {
  if (!fetched.has(url)) {
    const answer = fetch(url).then(async (response) => {
      if (!response.ok) throw new Error(`${url}: ${response.status}`);
      return decode(await response.json());
    });
    answer.catch(() => fetched.delete(url));
    fetched.set(url, answer);
    if (fetched.size > KEPT) fetched.delete(fetched.keys().next().value);
  }
  return fetched.get(url);
};

export const loadPlotly = (url) => {
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
