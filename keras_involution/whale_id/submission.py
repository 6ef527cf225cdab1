"""Files for Kaggle, and a second round on its own answers."""

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
    """Five labels a photo, between blanks.

    Args:
        ranking: `Ranking` (Q, K); with the label of new animals where it is wanted, see
            `insert_new`.
        image_ids: Sequence of Q strings, the names of the files.
        form: String, `"happywhale"` (`image, predictions`, `new_individual`) or
            `"humpback"` (`Image, Id`, `new_whale`).
        sample: Sequence of the names that the competition asks for, as of
            `read_sample_submission`; those without an answer, of images that nothing
            can read say, get the label of new animals alone. `None`: the Q answers.

    Returns:
        DataFrame of Q rows, or of those of `sample`, in its order.

    Raises:
        ValueError: If a label holds a blank, an id occurs twice or is not in `sample`,
            or the numbers of rankings and ids differ.

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
    blank = sorted({name for row in rows for name in row if len(name.split()) != 1})
    if blank:
        raise ValueError(
            f"Labels with blanks cannot be submitted. {received(labels=blank[:5])}"
        )
    texts = [" ".join(new_label if n == NEW_LABEL else n for n in row) for row in rows]
    answers = pd.Series(texts, index=ids, dtype=object)
    if sample is not None:
        strangers = sorted(set(ids) - set(sample))
        if strangers:
            raise ValueError(
                "The competition does not ask for these photos. "
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
        ValueError: If the file is no CSV, has no column of that name, or a name twice.
    """
    one_of(form, tuple(FORMS), "form")
    column = FORMS[form][0]
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
        raise ValueError(
            f"The file is no CSV: {error}. {received(sample=str(path))}"
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
    """Writes what `submission_table` makes as CSV.

    Args:
        ranking: `Ranking` (Q, K).
        image_ids: Sequence of Q strings.
        path: File.
        form: String, `"happywhale"` or `"humpback"`.
        sample: Sequence of strings, as of `submission_table`.
        force: Boolean, whether to replace a file that is there.

    Raises:
        ValueError: As `submission_table`; if the name does not end in `.csv`, or the
            file is there and `force` is false.
    """
    table = submission_table(ranking, image_ids, form, sample=sample)
    with atomic_write(path, force, SUFFIXES) as draft:
        write_csv(table, draft)


def pseudo_labels(
    ranking: Ranking, table: pd.DataFrame, least_score: float
) -> pd.DataFrame:
    """Queries whose first label is taken for the truth, to train a second round with.

    Args:
        ranking: `Ranking` (Q, K).
        table: DataFrame, the table of the Q queries. Never those of a test set whose
            metrics are to be reported.
        least_score: Float; only first labels with at least this score count, and never
            that of new animals.

    Returns:
        DataFrame, the rows that count, with `identity` set to the label, `split` to
        "train", and the columns `pseudo_score` and `pseudo_label` (true).

    Raises:
        ValueError: If there are not as many queries as rankings.

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
            "`table` must have a row for each query of the ranking. "
            f"{received(table=len(table), ranking=len(ranking))}"
        )
    labels, scores = ranking.labels[:, 0], ranking.scores[:, 0]
    sure = (scores >= least_score) & (labels != NEW_LABEL)
    taken = table[sure].assign(identity=labels[sure], split="train")
    return taken.assign(pseudo_score=scores[sure], pseudo_label=True)
