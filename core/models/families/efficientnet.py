"""EfficientNet B0 and B5, as in ``keras.applications``."""

from functools import partial

from core.models.definition import Layer, Model
from core.models.keras_weights import KerasWeights, build
from core.models.preprocessing import Preprocessing

# The graphs scale their input themselves.
UNCHANGED = Preprocessing("RGB from 0 to 255; the graph scales", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_SOURCE = "Tan and Le 2019, EfficientNet (arXiv:1905.11946)"

MODELS = (
    Model(
        name="efficientnetb0",
        title="EfficientNet B0",
        input_size=224,
        resample="bicubic",
        preprocessing=UNCHANGED,
        parameters=4_049_571,
        layers=(
            Layer("stem_conv", (112, 112, 32), 871),
            Layer("block2a_expand_conv", (112, 112, 96), 4_079),
            Layer("block2b_se_reduce", (1, 1, 6), 15_753),
            Layer("block3b_se_reduce", (1, 1, 10), 56_249),
            Layer("block4c_expand_conv", (14, 14, 480), 250_279),
            Layer("block5b_se_reduce", (1, 1, 28), 561_291),
            Layer("block6d_se_expand", (1, 1, 1152), 2_690_419),
            Layer("top_conv", (7, 7, 1280), 4_044_451),
        ),
        build=partial(build, "EfficientNetB0"),
        weights=KerasWeights("EfficientNetB0", "Apache-2.0 (TensorFlow)"),
        source=_SOURCE,
        position=20,
    ),
    Model(
        name="efficientnetb5",
        title="EfficientNet B5",
        input_size=456,
        resample="bicubic",
        preprocessing=UNCHANGED,
        parameters=28_513_527,
        layers=(
            Layer("stem_conv", (228, 228, 48), 1_303),
            Layer("block2b_expand_conv", (114, 114, 240), 30_485),
            Layer("block3e_project_conv", (57, 57, 64), 471_847),
            Layer("block4g_project_conv", (29, 29, 128), 2_125_815),
            Layer("block5f_expand_conv", (29, 29, 1056), 4_626_823),
            Layer("block5f_se_reduce", (1, 1, 44), 4_708_179),
            Layer("block6f_project_conv", (15, 15, 304), 13_327_047),
            Layer("top_conv", (15, 15, 2048), 28_505_335),
        ),
        build=partial(build, "EfficientNetB5"),
        weights=KerasWeights("EfficientNetB5", "Apache-2.0 (TensorFlow)"),
        source=_SOURCE,
        position=70,
    ),
)
