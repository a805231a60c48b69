// Completes the address of a page in place. Streamlit's own writes each add a step to the browser's history.

// Streamlit keeps these to itself.
const EMBED = /^embed(_options)?$/i;

const sorted = (pairs) => JSON.stringify([...pairs].sort());

// The query string with what the page shows; null where the address is no longer the one that the page answered.
export const completed = (search, { asked, shown }) => {
  const pairs = [...new URLSearchParams(search)];
  const own = pairs.filter(([key]) => !EMBED.test(key));
  if (sorted(own) !== sorted(asked) || sorted(own) === sorted(shown)) return null;
  return new URLSearchParams([...pairs.filter(([key]) => EMBED.test(key)), ...shown]).toString();
};

export default function ({ data }) {
  const query = completed(location.search, data);
  if (query === null) return;
  const mark = query ? "?" : "";
  history.replaceState(history.state, "", `${location.pathname}${mark}${query}${location.hash}`);
}
