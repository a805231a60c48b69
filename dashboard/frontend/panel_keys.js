// Streamlit draws an open panel at the end of the page, where the Tab key would come to it last. Here it comes next after the panel's button,
// and the panel closes where the key leaves it: Streamlit lets no key into one that was left.

document.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Tab") return;
    const button = document.querySelector('[data-testid="stPopoverButton"][aria-expanded="true"]');
    const panel = document.querySelector('[data-testid="stPopoverBody"]');
    if (!button || !panel) return;
    const { activeElement: active } = document;
    const stops = [...panel.querySelectorAll("a[href], button, input, textarea, summary, [tabindex]")].filter(
      (one) => one.tabIndex >= 0 && !one.disabled && one.getClientRects().length,
    );
    if (active === button && !event.shiftKey && stops.length) {
      event.preventDefault();
      stops[0].focus();
    } else if (active === stops.at(event.shiftKey ? 0 : -1)) {
      // From the button, the browser goes on to what follows it.
      button.focus();
      button.click();
      if (event.shiftKey) event.preventDefault();
    }
  },
  true,
);
