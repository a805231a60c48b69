// A box to paste an image into. A browser pastes only into what has the focus.

const PROMPT = "Click here, then paste an image (Ctrl+V or ⌘V)";

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
    if (box.getRootNode().activeElement !== box) return;
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
