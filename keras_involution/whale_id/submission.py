"""Submission files for Kaggle, and pseudo-labels for a second round."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from keras_involution._arguments import one_of, received
from keras_involution._files import atomic_write
from keras_involution.whale_id.open_set import NEW_LABEL
from keras_involution.whale_id.retrieve import Ranking
from keras_involution.whale_id.tables.write import write_csv

# Columns, and the label of new animals, of each competition.
FORMS = {
    "happywhale": ("image", "predictions", NEW_LABEL),
    "humpback": ("Image", "Id", "new_whale"),
}
PLACES = 5
SUFFIXES = (".csv",)


def submission_table(
    ranking: Ranking,
    image_ids: Sequence[str],
    form: str = "happywhale",
    *,
    sample: Sequence[str] | None = None,
) -> pd.DataFrame:
    """A table with five labels per photo, separated by spaces.

    Args:
        ranking: `Ranking` (Q, K), with the label of new animals if needed; see
            `insert_new`. Empty labels are left out.
        image_ids: Sequence of Q strings, the names of the files.
        form: String, `"happywhale"` (`image, predictions`, `new_individual`) or
            `"humpback"` (`Image, Id`, `new_whale`).
        sample: Sequence of the photos in the competition's sample, as returned by
            `read_sample_submission`. Photos without an answer, for example unreadable
            images, get only the label of new animals. `None` uses the Q queries.

    Returns:
        DataFrame with Q rows, or with the rows of `sample` in its order.

    Raises:
        ValueError: If a label contains a space, an id occurs twice or is not in
            `sample`, or the numbers of rankings and ids differ.

    Example:

    >>> from keras_involution.whale_id import Ranking, submission_table
    >>> ranking = Ranking([["a1", "new_individual"]], [[0.7, 0.5]])
    >>> submission_table(ranking, ["1.jpg"], "humpback").to_dict("records")
    [{'Image': '1.jpg', 'Id': 'a1 new_whale'}]
    """
    one_of(form, tuple(FORMS), "form")
    image, labels, new_label = FORMS[form]
    ids = pd.Series(list(image_ids), dtype=object)
    if len(ids) != len(ranking) or ids.duplicated().any():
        raise ValueError(
            "Every query must have one id, and every id one query. "
            f"{received(ids=len(ids), different=ids.nunique(), ranking=len(ranking))}"
        )
    rows = ranking.first(PLACES).labels
    names = {name for row in rows for name in row if name}
    blank = sorted(name for name in names if len(name.split()) != 1)
    if blank:
        raise ValueError(
            f"Labels with spaces cannot be submitted. {received(labels=blank[:5])}"
        )
    texts = [
        " ".join(new_label if n == NEW_LABEL else n for n in row if n) or new_label
        for row in rows
    ]
    answers = pd.Series(texts, index=ids, dtype=object)
    if sample is not None:
        strangers = sorted(set(ids) - set(sample))
        if strangers:
            raise ValueError(
                "These photos are not in the competition's sample. "
                + received(strangers=len(strangers), first=strangers[:3])
            )
        answers = answers.reindex(list(sample), fill_value=new_label)
    return pd.DataFrame({image: answers.index, labels: answers.to_numpy()})


def read_sample_submission(path: str | Path, form: str = "happywhale") -> list[str]:
    """The photos of a competition's `sample_submission.csv`.

    Args:
        path: File.
        form: String, `"happywhale"` or `"humpback"`.

    Returns:
        List of names, in the order of the file.

    Raises:
        ValueError: If the file is not a CSV file, the column is missing, or a name
            occurs twice.
    """
    one_of(form, tuple(FORMS), "form")
    column = FORMS[form][0]
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
        raise ValueError(
            f"The file is not a CSV file: {error}. {received(sample=str(path))}"
        ) from error
    if column not in table or table[column].duplicated().any():
        raise ValueError(
            f"The file must have a column {column!r} in which every name occurs once. "
            + received(sample=str(path), columns=list(table))
        )
    return table[column].to_list()


def write_submission(
    ranking: Ranking,
    image_ids: Sequence[str],
    path: str | Path,
    form: str = "happywhale",
    *,
    sample: Sequence[str] | None = None,
    force: bool = False,
) -> None:
    """Writes the `submission_table` of a ranking as CSV.

    Args:
        ranking: `Ranking` (Q, K).
        image_ids: Sequence of Q strings.
        path: File.
        form: String, `"happywhale"` or `"humpback"`.
        sample: Sequence of strings, as for `submission_table`.
        force: Boolean, whether to replace an existing file.

    Raises:
        ValueError: As for `submission_table`; also if the name does not end in `.csv`,
            or the file exists and `force` is false.
    """
    table = submission_table(ranking, image_ids, form, sample=sample)
    with atomic_write(path, force, SUFFIXES) as draft:
        write_csv(table, draft)


def pseudo_labels(
    ranking: Ranking, table: pd.DataFrame, least_score: float
) -> pd.DataFrame:
    """Queries with their first label as identity, for a second round of training.

    Args:
        ranking: `Ranking` (Q, K).
        table: DataFrame, the table of the Q queries. Do not use a test set whose
            metrics are reported.
        least_score: Float. Only first labels with at least this score are used, and
            never the label of new animals.

    Returns:
        DataFrame of the selected rows, with `identity` set to the label, `split` set
        to "train", and the columns `pseudo_score` and `pseudo_label` (true).

    Raises:
        ValueError: If the numbers of queries and rankings differ.

    Example:

    >>> import pandas as pd
    >>> from keras_involution.whale_id import Ranking, pseudo_labels
    >>> table = pd.DataFrame({"image_id": ["1", "2"], "identity": ["unknown"] * 2})
    >>> ranking = Ranking([["A"], ["B"]], [[0.9], [0.4]])
    >>> pseudo_labels(ranking, table, 0.6)["identity"].to_list()
    ['A']
    """
    if len(table) != len(ranking):
        raise ValueError(
            "`table` must have one row per query of the ranking. "
            f"{received(table=len(table), ranking=len(ranking))}"
        )
    labels, scores = ranking.labels[:, 0], ranking.scores[:, 0]
    sure = (scores >= least_score) & (labels != NEW_LABEL)
    taken = table[sure].assign(identity=labels[sure], split="train")
    return taken.assign(pseudo_score=scores[sure], pseudo_label=True)
