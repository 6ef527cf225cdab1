"""The predictions of a classifier: names and probabilities, best first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class Prediction(NamedTuple):
    """A class and its probability.

    Attributes:
        name: Name of the class.
        probability: Float from 0 to 1.
    """

    name: str
    probability: float


class Predictions(list[list[Prediction]]):
    """The predictions for each image, best first; `print` shows a table.

    Args:
        rows: List with a list of `Prediction` for each image.
        images: Names of the images: their files or numbers.

    Example:

    >>> from keras_involution.models import Prediction, Predictions
    >>> found = Predictions([[Prediction("whale", 0.75)]], ["photo.jpg"])
    >>> print(found)
    photo.jpg
       75.0 %  whale
    >>> found[0][0].name
    'whale'
    """

    def __init__(
        self, rows: Iterable[list[Prediction]], images: Sequence[str | int]
    ) -> None:
        super().__init__(rows)
        self.images = list(images)

    def __str__(self) -> str:
        lines = []
        for image, predictions in zip(self.images, self):
            lines.append(str(image))
            lines += [f"  {100 * p:5.1f} %  {name}" for name, p in predictions]
        return "\n".join(lines)

    def to_dataframe(self) -> pd.DataFrame:
        """Returns a table with the columns image, rank, name and probability.

        Returns:
            `pandas.DataFrame` with a row for each prediction; the best has rank 1.
        """
        import pandas as pd

        rows = [
            (image, rank, *prediction)
            for image, predictions in zip(self.images, self)
            for rank, prediction in enumerate(predictions, 1)
        ]
        return pd.DataFrame(rows, columns=["image", "rank", "name", "probability"])
