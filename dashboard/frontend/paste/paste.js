// A box to paste an image into. It takes what is pasted anywhere on the page, except into a field for text.

const PROMPT = "Paste an image (Ctrl+V or ⌘V)";
const FIELDS = "input:not([type=radio], [type=checkbox], [type=range]), textarea, [contenteditable]";

// Whether what is pasted into an element is text for it.
export const isField = (element) => Boolean(element?.matches?.(FIELDS));

// The first image among the files of a clipboard, or why there is none.
export const imageOf = (files, most) => {
  const file = [...files].find(({ type }) => type.startsWith("image/"));
  if (!file) return { problem: "There is no image in the clipboard." };
  return file.size > most ? { problem: "That image is too large." } : { file };
};

export default function ({ data, parentElement, setTriggerValue }) {
  const box = parentElement.querySelector(".paste");
  box.textContent = PROMPT;
  box.onclick = () => box.focus();
  const paste = (event) => {
    const [target] = event.composedPath();
    if (target !== box && isField(target)) return;
    event.preventDefault();
    const { file, problem } = imageOf(event.clipboardData?.files ?? [], data.most);
    if (problem) {
      box.textContent = problem;
      return;
    }
    const reader = new FileReader();
    reader.onload = () => setTriggerValue("pasted", reader.result.slice(reader.result.indexOf(",") + 1));
    reader.readAsDataURL(file);
  };
  document.addEventListener("paste", paste);
  return () => document.removeEventListener("paste", paste);
}
