// The card beside the mouse that shows the image of a point.

// Title, label and URL of an item; `url` is what comes before and after its id.
export const describeItem = (id, about, classes, [before, after]) => {
  const label = classes[about.labels[id]].name;
  return {
    title: about.titles[id] || label,
    label,
    source: about.pictures ? `${before}${about.pictures[id]}` : `${before}${id}${after}`,
  };
};

// Beside the mouse, on its other side where there is no room, and within the stage.
export const cardPosition = (mouse, stage, card) => {
  const right = mouse.x + 18;
  const left = right + card.width > stage.width ? mouse.x - 18 - card.width : right;
  const top = Math.min(Math.max(6, mouse.y - card.height / 2), stage.height - card.height - 6);
  return { left: Math.max(6, left), top };
};
