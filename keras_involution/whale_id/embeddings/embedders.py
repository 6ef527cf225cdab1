"""Embedders of photos: a network of this package, or an ONNX file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from keras_involution import _arguments
from keras_involution._arguments import received
from keras_involution._files import reading
from keras_involution.whale_id.unit import unit

if TYPE_CHECKING:
    from keras_involution.whale_id.runs import RunFiles

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Embedder(Protocol):
    """The interface that `embed` needs; `EmbeddingNetwork` implements it."""

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the input photos."""

    @property
    def size(self) -> int:
        """Length D of an embedding."""

    def embed(self, images: Any, flip: str = "none") -> np.ndarray:
        """Photos (B, H, W, 3) of bytes to vectors (B, D) of length one.

        `flip` is `"none"`, `"mirrored"` or `"average"`.
        """


class OnnxEmbedder:
    """A network in an ONNX file, run by onnxruntime on the CPU or a GPU.

    Args:
        path: Path of the file. Its first input takes images, channels first or last;
            its first output returns vectors.
        image_size: Integer or tuple of 2, height and width; `None` uses the fixed size
            in the file.
        mean: Sequence of 3 floats, subtracted from pixels in [0, 1].
        std: Sequence of 3 floats, by which the pixels are then divided.

    Raises:
        ValueError: If the file is not an image network, or has another fixed size.
    """

    def __init__(
        self,
        path: str | Path,
        image_size: int | Sequence[int] | None = None,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        import onnxruntime

        with reading(path, "The ONNX file"):
            # Loaded from bytes, so the file cannot refer to other files.
            self._session = onnxruntime.InferenceSession(
                Path(path).read_bytes(), providers=onnxruntime.get_available_providers()
            )
            [given, *_], [output, *_] = (
                self._session.get_inputs(),
                self._session.get_outputs(),
            )
            shape = given.shape
            if len(shape) != 4 or 3 not in (shape[1], shape[3]):
                raise ValueError(f"its input {shape} does not take color images")
            if len(output.shape) != 2:
                raise ValueError(f"its output {output.shape} is not a vector")
        self.path, self._input, self._output = str(path), given.name, output.name
        self._channels_first = shape[1] == 3
        sides = shape[2:4] if self._channels_first else shape[1:3]
        self._image_size = self._checked_size(image_size, sides)
        self._batch = shape[0] if isinstance(shape[0], int) else None
        self._half = given.type == "tensor(float16)"
        self.mean, self.std = np.asarray(mean, "float32"), np.asarray(std, "float32")
        if self.mean.shape != (3,) or self.std.shape != (3,) or not self.std.all():
            raise ValueError(
                "`mean` and `std` must be 3 numbers each, and `std` not zero. "
                + received(mean=mean, std=std)
            )
        self._size = 0

    def _checked_size(self, image_size: Any, sides: Sequence[Any]) -> tuple[int, int]:
        fixed = tuple(side for side in sides if isinstance(side, int))
        if image_size is None and len(fixed) == 2:
            return fixed
        height, width = _arguments.spatial_tuple(image_size or 0, 2, "image_size")
        if any(isinstance(s, int) and s != n for s, n in zip(sides, (height, width))):
            raise ValueError(
                f"The file takes images of {fixed}. {received(image_size=image_size)}"
            )
        return height, width

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self._image_size

    @property
    def size(self) -> int:
        """Length D of an embedding."""
        if not self._size:
            blank = np.zeros((1, *self.image_size, 3), "uint8")
            self._size = self.embed(blank).shape[1]
        return self._size

    def embed(self, images: Any, flip: str = "none") -> np.ndarray:
        """Embeddings (B, D) of length one of images (B, H, W, 3) of bytes.

        Raises:
            ValueError: If `flip` is unknown, or an embedding is not finite.
        """
        _arguments.one_of(flip, ("none", "mirrored", "average"), "flip")
        x = (np.asarray(images, "float32") / 255 - self.mean) / self.std
        views = [] if flip == "mirrored" else [x]
        views += [] if flip == "none" else [x[:, :, ::-1]]
        return unit(sum((_finite_unit(self._run(x)) for x in views), np.zeros(1)))

    def _run(self, x: np.ndarray) -> np.ndarray:
        if self._channels_first:
            x = x.transpose(0, 3, 1, 2)
        x = np.ascontiguousarray(x, "float16" if self._half else "float32")
        size = self._batch or len(x)
        outputs = []
        for start in range(0, len(x), size):
            rows = x[start : start + size]
            missing = size - len(rows)
            filled = np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)])
            [found] = self._session.run([self._output], {self._input: filled})
            outputs.append(found[: len(rows)])
        return np.concatenate(outputs).astype("float32")


@dataclass(frozen=True)
class Source:
    """The source of an embedder, from which every process can load it.

    Args:
        path: String, an `.onnx` file, or an argument of `load_run`: the folder of a
            run, a `.keras` file, or a preset.
        image_size: Integer, for an ONNX file; `None` if it has a fixed size.
        mean: Tuple of 3 floats, for an ONNX file.
        std: Tuple of 3 floats, for an ONNX file.
    """

    path: str
    image_size: int | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @property
    def is_onnx(self) -> bool:
        return Path(self.path).suffix.lower() == ".onnx"

    def load(self) -> Embedder:
        """Loads the embedder.

        Raises:
            ValueError: If the file is damaged or is not a network.
        """
        if self.is_onnx:
            return OnnxEmbedder(self.path, self.image_size, self.mean, self.std)
        from keras_involution.whale_id.runs import load_run

        return load_run(self.path).network

    def box_margin(self) -> float:
        """Margin by which boxes were widened in training; 0 if it is not known."""
        files = self._files()
        return 0.0 if files is None else files.box_margin

    def head(self) -> Path | None:
        """Path of the centers of the head, if the run has one."""
        files = self._files()
        return None if files is None else files.head

    def settings(self) -> dict[str, Any]:
        """The settings on which its embeddings depend, as JSON values."""
        if self.is_onnx:
            return {
                "model": _digest(Path(self.path)),
                "image_size": self.image_size,
                "mean": list(self.mean),
                "std": list(self.std),
            }
        files = self._files()
        if files is not None:
            return {"model": _digest(files.model)}
        weights = sorted(Path(self.path).glob("*.weights.h5"))
        return {"model": [self.path, *(_digest(path) for path in weights)]}

    def _files(self) -> RunFiles | None:
        """The files of a run; `None` for an ONNX file or a preset."""
        from keras_involution.whale_id.runs import is_preset, run_files

        if self.is_onnx or is_preset(self.path):
            return None
        return run_files(self.path)


def _finite_unit(features: np.ndarray) -> np.ndarray:
    if not np.isfinite(features).all():
        raise ValueError(
            f"The embeddings are not finite. {received(features=features.shape)}"
        )
    return unit(features)


def _digest(path: Path) -> str:
    with reading(path, "The network"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
