"""Small ONNX graphs of every layout, written with the ``onnx`` package."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 32


class Builder:
    """Collects nodes and random weights."""

    def __init__(self, seed: int = 0):
        self.nodes, self.weights = [], []
        self._rng = np.random.default_rng(seed)

    def node(self, op: str, inputs: list[str], name: str, domain: str = "", **attributes) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def weight(self, name: str, *shape: int) -> str:
        values = self._rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]) if len(shape) > 1 else 4)
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def whole(self, name: str, values) -> str:
        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def model(self, outputs: list[str], shape: list, **more) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.weights,
        )
        opsets = [
            helper.make_opsetid("", 17),
            *(helper.make_opsetid(name, 1) for name in more.get("domains", ())),
        ]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=9, producer_name="tests", producer_version="1"
        )


def convolutions(
    layout: str = "NCHW", batch: str | int = "batch", blocks: int = 3, seed: int = 0
) -> onnx.ModelProto:
    """Convolutions with ReLU, each of stride 2, and a classifier."""
    build = Builder(seed)
    x, channels = "image", 3
    if layout == "NHWC":
        x = build.node("Transpose", [x], "to_nchw", perm=[0, 3, 1, 2])
    for block in range(blocks):
        wide = 4 * 2**block
        weights = [build.weight(f"w{block}", wide, channels, 3, 3), build.weight(f"b{block}", wide)]
        x = build.node(
            "Conv", [x, *weights], f"conv{block}", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
        )
        x, channels = build.node("Relu", [x], f"relu{block}"), wide
    if layout == "NHWC":
        build.node("Transpose", [x], "to_nhwc", perm=[0, 2, 3, 1])
    pooled = build.node("Flatten", [build.node("GlobalAveragePool", [x], "pool")], "flat")
    build.node("Gemm", [pooled, build.weight("head", channels, 10)], "classes")
    shape = [batch, 3, SIZE, SIZE] if layout == "NCHW" else [batch, SIZE, SIZE, 3]
    return build.model(["classes", *(["to_nhwc"] if layout == "NHWC" else [])], shape)


def transformer(class_token: bool = True, blocks: int = 2, batch: str | int = "batch") -> onnx.ModelProto:
    """A vision transformer with patches of 8 pixels, 4 heads, and a class token or none."""
    build, width, patch, heads = Builder(), 32, 8, 4
    count = (SIZE // patch) ** 2
    x = build.node(
        "Conv",
        ["image", build.weight("patch_w", width, 3, patch, patch)],
        "patches",
        kernel_shape=[patch, patch],
        strides=[patch, patch],
    )
    build.whole("to_rows", [0, width, count])
    x = build.node("Transpose", [build.node("Reshape", [x, "to_rows"], "rows")], "tokens", perm=[0, 2, 1])
    if class_token:
        build.weight("class_token", 1, 1, width)
        if batch == "batch":
            build.whole("zero", [0]), build.whole("one", [1]), build.whole("rest", [1, width])
            first = build.node("Slice", [build.node("Shape", ["image"], "shape"), "zero", "one"], "size")
            token = build.node(
                "Expand", ["class_token", build.node("Concat", [first, "rest"], "target", axis=0)], "first"
            )
        else:
            token = "class_token"
        x = build.node("Concat", [token, x], "sequence", axis=1)
        count += 1
    x = build.node("Add", [x, build.weight("positions", 1, count, width)], "embeddings")
    build.whole("to_heads", [0, 0, heads, width // heads]), build.whole("from_heads", [0, 0, width])
    for block in range(blocks):
        name = f"block{block}"
        y = build.node("LayerNormalization", [x, build.weight(f"{name}.g1", width)], f"{name}.norm1", axis=-1)
        parts = {}
        for part in "qkv":
            part_ = build.node("MatMul", [y, build.weight(f"{name}.w{part}", width, width)], f"{name}.{part}")
            part_ = build.node("Reshape", [part_, "to_heads"], f"{name}.{part}_heads")
            order = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
            parts[part] = build.node("Transpose", [part_], f"{name}.{part}_turned", perm=order)
        scores = build.node(
            "Softmax",
            [build.node("MatMul", [parts["q"], parts["k"]], f"{name}.scores")],
            f"{name}.attention",
            axis=-1,
        )
        y = build.node(
            "Transpose",
            [build.node("MatMul", [scores, parts["v"]], f"{name}.mixed")],
            f"{name}.turned",
            perm=[0, 2, 1, 3],
        )
        y = build.node("Reshape", [y, "from_heads"], f"{name}.joined")
        x = build.node("Add", [x, y], f"{name}.attended")
        y = build.node("MatMul", [x, build.weight(f"{name}.f1", width, 2 * width)], f"{name}.wide")
        y = build.node("Relu", [y], f"{name}.relu")
        y = build.node("MatMul", [y, build.weight(f"{name}.f2", 2 * width, width)], f"{name}.narrow")
        x = build.node("Add", [x, y], f"{name}.output")
    x = build.node("LayerNormalization", [x, build.weight("g", width)], "last_hidden_state", axis=-1)
    build.node("ReduceMean", [x], "embedding", axes=[1], keepdims=0)
    return build.model(["last_hidden_state", "embedding"], [batch, 3, SIZE, SIZE])


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path
