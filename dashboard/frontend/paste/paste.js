// A place to paste a picture into: it must have the focus, as any place for pasting.

const WORDS = "Click here, then paste a picture (Ctrl+V or ⌘V)";

export default function ({ data, parentElement, setTriggerValue }) {
  const box = parentElement.querySelector(".paste");
  box.textContent = WORDS;
  box.onclick = () => box.focus();
  const hear = (event) => {
    const root = box.getRootNode();
    if (root.activeElement !== box) return;
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    event.preventDefault();
    if (!file || file.size > data.most) {
      box.textContent = file ? "That picture is too large." : "There is no picture in the clipboard.";
      return;
    }
    const reader = new FileReader();
    reader.onload = () => setTriggerValue("pasted", reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(file);
  };
  document.addEventListener("paste", hear);
  return () => document.removeEventListener("paste", hear);
}
