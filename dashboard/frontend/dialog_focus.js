// When a dialog closes, Streamlit returns the focus to what had it before. It can't return it into a component with a shadow root, such as a
// gallery: the focus would be lost, and the Tab key would begin at the top of the page.

{
  const isDialog = (node) => node.dataset?.testid === "stDialog";
  let before = null;
  document.addEventListener(
    "focusin",
    (event) => {
      const path = event.composedPath();
      if (!path.some(isDialog)) [before] = path;
    },
    true,
  );
  const observer = new MutationObserver((changes) => {
    const hasClosed = changes.some((change) => [...change.removedNodes].some(isDialog));
    if (hasClosed && document.activeElement === document.body) before?.focus();
  });
  document.addEventListener("DOMContentLoaded", () => observer.observe(document.body, { childList: true }));
}
