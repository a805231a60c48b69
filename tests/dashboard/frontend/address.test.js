import assert from "node:assert/strict";
import test from "node:test";
import { completed } from "../../../dashboard/frontend/address/address.js";

const shown = [
  ["model", "good"],
  ["k", "10"],
];

test("an address is completed", () => {
  assert.equal(completed("", { asked: [], shown }), "model=good&k=10");
  assert.equal(completed("?model=good", { asked: [["model", "good"]], shown }), "model=good&k=10");
});

test("an address that is complete stays, in whatever order", () => {
  assert.equal(completed("?k=10&model=good", { asked: shown, shown }), null);
});

test("another address than the page answered stays", () => {
  assert.equal(completed("?k=7", { asked: [], shown }), null);
});

test("an entry that stands there twice counts twice", () => {
  const asked = [
    ["k", "7"],
    ["k", "10"],
  ];
  assert.equal(completed("?k=7&k=10", { asked, shown }), "model=good&k=10");
});

test("what Streamlit keeps in the address stays", () => {
  assert.equal(completed("?embed=true", { asked: [], shown }), "embed=true&model=good&k=10");
});

test("characters with a meaning in addresses are escaped", () => {
  assert.equal(completed("", { asked: [], shown: [["where", "a=b&c\nd"]] }), "where=a%3Db%26c%0Ad");
});
