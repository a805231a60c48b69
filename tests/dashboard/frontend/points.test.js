import assert from "node:assert/strict";
import test from "node:test";
import { decodeAbout, decodePoints, pack, unpack } from "../../../dashboard/frontend/scatter/points.js";

const base64 = (numbers) => Buffer.from(numbers.buffer).toString("base64");

test("ids are the same after packing and unpacking", () => {
  const ids = [0, 7, 65_536, 4_294_967_295];
  assert.deepEqual([...unpack(pack(ids), Uint32Array)], ids);
  assert.equal(pack([]), "");
  const many = Array.from({ length: 20_000 }, (_, i) => i);
  assert.deepEqual([...unpack(pack(many), Uint32Array)], many);
});

test("coordinates are steps of 16 bits between -1 and 1, by layer", () => {
  const points = decodePoints({
    ids: base64(Uint32Array.of(4, 9)),
    coordinates: base64(Int16Array.of(0, 32767, -32767, 0, 16384, 0, 0, -16384)),
    layers: 2,
    dimensions: 2,
  });
  assert.deepEqual([...points.ids], [4, 9]);
  assert.deepEqual([...points.layers[0]], [0, 1, -1, 0]);
  assert.deepEqual(
    [...points.layers[1]].map((value) => value.toFixed(3)),
    ["0.500", "0.000", "0.000", "-0.500"],
  );
  assert.deepEqual(points.boxes[0], [
    [-1, 0],
    [0, 1],
  ]);
});

test("labels are numbers of 16 bits", () => {
  const about = decodeAbout({ labels: base64(Uint16Array.of(0, 300)), titles: ["a", ""], pictures: null });
  assert.deepEqual([...about.labels], [0, 300]);
  assert.deepEqual(about.titles, ["a", ""]);
});
