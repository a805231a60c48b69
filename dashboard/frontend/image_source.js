// Gives an <img> another source. A browser keeps an element's old image until the new one has loaded, which would show it
// with the new caption: a new element takes its place. Returns the element that is shown now; handlers are not copied.
export const withSource = (image, source) => {
  if (image.getAttribute("src") === source) return image;
  const next = image.cloneNode(false);
  next.setAttribute("src", source);
  image.replaceWith(next);
  return next;
};
