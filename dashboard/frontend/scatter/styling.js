// How points look, and which of them have a name.

const NONE = -1;

// Classes that look alike are drawn together: a thousand traces would take Plotly seconds.
export const stylesOfClasses = (classes) => {
  const places = new Map();
  const styles = [];
  const of = classes.map((style) => {
    const look = `${style.color} ${style.symbol} ${style.symbol_3d}`;
    if (!places.has(look)) places.set(look, styles.push(style) - 1);
    return places.get(look);
  });
  return { styles, of };
};

// The style of every row; hidden classes and unknown ones have none.
export const styleOfRows = ({ ids, labels, classes, hidden, of }) => {
  const shown = classes.map(({ name }) => !hidden.has(name));
  return Int16Array.from(ids, (id) => (shown[labels[id]] ? of[labels[id]] : NONE));
};

// Rows whose title or class has the text, in any case; undefined for an empty text.
export const matching = (text, { ids, labels, titles, classes }) => {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return undefined;
  const named = classes.map(({ name }) => name.toLowerCase().includes(wanted));
  return Array.from(ids.keys()).filter(
    (row) => named[labels[ids[row]]] || titles[ids[row]]?.toLowerCase().includes(wanted),
  );
};
