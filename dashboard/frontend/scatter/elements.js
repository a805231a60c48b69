export const shape = (name, attributes, parent, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
};

export const button = (text, onclick) =>
  Object.assign(document.createElement("button"), { type: "button", textContent: text, onclick });
