"""What a user says of an ONNX file: how images go into it, and which of its tensors are layers.

A family (``--like``) has what is usual for its models; a JSON file beside the ONNX file says what is different.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from core.errors import OnnxError, UnknownNameError, first_problem
from core.models.preprocessing import Preprocessing

MOST_LAYERS = 8
_MOST_BYTES = 1_000_000

Color = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Tokens = Literal["patches", "cls"]


class LayerChoice(BaseModel):
    """A tensor that is a layer.

    Parameters
    ----------
    name : of the layer; the tensor's name when not given, with ``:cls`` behind it for the class token.
    tokens : of a tensor of tokens: ``"patches"``, which have places in the image, or ``"cls"``, the first token.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tensor: Text
    name: Text | None = None
    tokens: Tokens = "patches"

    @property
    def layer(self) -> str:
        """The name of the layer."""
        return self.name or (f"{self.tensor}:cls" if self.tokens == "cls" else self.tensor)


class Description(BaseModel):
    """How a model is used.

    Parameters
    ----------
    title : on pages.
    input_size : pixels of a side; the file's own when not given, or 224.
    resample : ``"nearest"``, ``"bilinear"``, ``"bicubic"`` or ``"lanczos"``.
    crop : the side of the middle square that is used, as a share of the shorter side of the image; None squeezes the whole image into a
        square.
    mean, scale : of red, green and blue from 0 to 255: what goes in is ``(value - mean) / scale``.
    channels : ``"RGB"`` or ``"BGR"``; mean and scale are in this order.
    layout : of the input; seen from the file when not given.
    layers : proposed when not given.
    license, source : shown on pages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: Text | None = None
    input_size: Annotated[int, Field(ge=8, le=2048)] | None = None
    resample: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    crop: Annotated[float, Field(gt=0, le=1)] | None = None
    mean: tuple[Color, Color, Color] = (0.0, 0.0, 0.0)
    scale: tuple[Color, Color, Color] = (1.0, 1.0, 1.0)
    channels: Literal["RGB", "BGR"] = "RGB"
    layout: Literal["NCHW", "NHWC"] | None = None
    layers: Annotated[tuple[LayerChoice, ...], Field(min_length=1, max_length=MOST_LAYERS)] | None = None
    license: Text | None = None
    source: Text | None = None

    @model_validator(mode="after")
    def _check(self) -> "Description":
        if any(math.isclose(one, 0, abs_tol=1e-12) for one in self.scale):
            raise ValueError("scale must not be zero")
        names = [one.layer for one in self.layers or ()]
        if len(set(names)) < len(names):
            raise ValueError("two layers have one name")
        return self

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to pixels."""
        numbers = [" ".join(f"{one:.6g}" for one in values) for values in (self.mean, self.scale)]
        return Preprocessing(
            f"{self.channels} less {numbers[0]}, divided by {numbers[1]}",
            self.mean,
            self.scale,
            self.channels == "BGR",
        )


_IMAGENET = {"mean": [123.675, 116.28, 103.53], "scale": [58.395, 57.12, 57.375]}
_HALF = {"mean": [127.5, 127.5, 127.5], "scale": [127.5, 127.5, 127.5]}
# mean and std of OpenAI's CLIP, times 255
_CLIP = {"mean": [122.7709383, 116.7460125, 104.09373615], "scale": [68.5005327, 66.6321579, 70.32316305]}

FAMILIES: dict[str, dict[str, Any]] = {
    "dinov2": {**_IMAGENET, "resample": "bicubic", "crop": 0.875},
    "clip": {**_CLIP, "resample": "bicubic", "crop": 1.0},
    "siglip": {**_HALF, "resample": "bicubic"},
    "timm": {**_IMAGENET, "resample": "bicubic", "crop": 0.875},
    "torchvision": {**_IMAGENET, "resample": "bilinear", "crop": 0.875},
    "keras": {**_HALF, "resample": "bilinear"},
}
"""Family -> what its preprocessors do to images, as their configurations publish it."""


def describe(like: str | None, beside: Path | None) -> Description:
    """The description of a file.

    Parameters
    ----------
    like : a family of :data:`FAMILIES`; the key ``like`` of the JSON file when not given.
    beside : a JSON file with keys of :class:`Description`, which go before those of the family.

    Raises
    ------
    UnknownNameError : there is no such family.
    OnnxError : the JSON file can't be used, or neither is given.
    """
    own = {} if beside is None else _read(beside)
    family = like or own.pop("like", None)
    own.pop("like", None)
    if family is not None and family not in FAMILIES:
        raise UnknownNameError("family of preprocessing", str(family), FAMILIES)
    if family is None and not {"mean", "scale"} <= own.keys():
        raise OnnxError(
            "Nothing says how images go into the model. Name a family (--like "
            f"{'|'.join(FAMILIES)}), or write mean and scale into a JSON file beside the ONNX file."
        )
    try:
        return Description.model_validate_json(_json({**FAMILIES.get(family or "", {}), **own}))
    except ValidationError as error:
        raise OnnxError(
            f"{beside.name if beside else family} can't be used: {first_problem(error)}."
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise OnnxError(f"{path.name} is too large for the description of a model.")
        found = from_json(path.read_bytes(), allow_inf_nan=False)
    except OSError as error:
        raise OnnxError(f"{path.name} can't be read ({error.strerror}).") from None
    except ValueError as error:
        raise OnnxError(f"{path.name} is not JSON ({error}).") from None
    if not isinstance(found, dict):
        raise OnnxError(f'{path.name} must be a JSON object, such as {{"like": "timm"}}.')
    return found


def _json(values: dict[str, Any]) -> str:
    import json

    return json.dumps(values)
