import assert from "node:assert/strict";
import test from "node:test";
import { cardPosition, describeItem } from "../../../dashboard/frontend/scatter/card.js";

const STAGE = { width: 600, height: 400 };
const CARD = { width: 136, height: 180 };

test("an item has its title or else its label, and the URL of its image", () => {
  const about = { labels: [1, 0], titles: ["Tabby", ""] };
  const classes = [{ name: "dog" }, { name: "cat" }];
  assert.deepEqual(describeItem(0, about, classes, ["./images/", "?v=1"]), {
    title: "Tabby",
    label: "cat",
    source: "./images/0?v=1",
  });
  assert.equal(describeItem(1, about, classes, ["./images/", "?v=1"]).title, "dog");
});

test("images of a collection have URLs of their own", () => {
  const about = { labels: [0], titles: [""], pictures: ["abc.webp"] };
  assert.equal(describeItem(0, about, [{ name: "a" }], ["./c/", "?v=1"]).source, "./c/abc.webp");
});

test("the card is beside the mouse, on the left where there is no room on the right", () => {
  assert.deepEqual(cardPosition({ x: 100, y: 200 }, STAGE, CARD), { left: 118, top: 110 });
  assert.deepEqual(cardPosition({ x: 550, y: 200 }, STAGE, CARD), { left: 396, top: 110 });
});

test("the card stays within the stage", () => {
  assert.equal(cardPosition({ x: 100, y: 0 }, STAGE, CARD).top, 6);
  assert.equal(cardPosition({ x: 100, y: 399 }, STAGE, CARD).top, 214);
  assert.equal(cardPosition({ x: 100, y: 100 }, { width: 150, height: 400 }, CARD).left, 6);
});
