"""The constants of a frozen TensorFlow graph. It is parsed as data, and nothing of it runs."""

from pathlib import Path

import numpy as np

from core.errors import WeightsError


def read_constants(path: Path) -> dict[str, np.ndarray]:
    """The constants of a graph by the names of their nodes; raises WeightsError where the file is no graph."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework import graph_pb2
    from tensorflow.python.framework import tensor_util

    graph = graph_pb2.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
        return {
            node.name: tensor_util.MakeNdarray(node.attr["value"].tensor)
            for node in graph.node
            if node.op == "Const"
        }
    except OSError as error:
        raise WeightsError(f"{path.name} can't be read ({error.strerror}); reinstall the package.") from None
    except (DecodeError, TypeError, ValueError):
        raise WeightsError(f"{path.name} is damaged or cut short; reinstall the package.") from None
