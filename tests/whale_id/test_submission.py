"""Files for Kaggle and the second round."""

from __future__ import annotations

import pytest

from keras_involution.whale_id import (
    Ranking,
    insert_new,
    pseudo_labels,
    read_sample_submission,
    submission_table,
    write_submission,
)
from tests.marks import one_backend
from tests.whale_id.image_files import listed

pytestmark = one_backend

LABELS = [["a", "b", "c", "d", "e"], ["f", "g", "h", "i", "j"]]
RANKING = insert_new(Ranking(LABELS, [[0.9, 0.5, 0.4, 0.3, 0.2]] * 2), [0.95, 0.45])


def test_files(tmp_path):
    path = tmp_path / "s.csv"
    write_submission(RANKING, ["1.jpg", "2.jpg"], path)
    assert path.read_text().splitlines() == [
        "image,predictions",
        "1.jpg,new_individual a b c d",
        "2.jpg,f g new_individual h i",
    ]
    with pytest.raises(ValueError, match="--force"):
        write_submission(RANKING, ["1.jpg", "2.jpg"], path, "humpback")
    write_submission(RANKING, ["1.jpg", "2.jpg"], path, "humpback", force=True)
    assert path.read_text().splitlines()[:2] == ["Image,Id", "1.jpg,new_whale a b c d"]


def test_photos_without_an_answer_are_called_new(tmp_path):
    sample = tmp_path / "sample_submission.csv"
    sample.write_text("Image,Id\n2.jpg,x\nbroken.jpg,x\n1.jpg,x\nNA,x\n")
    wanted = read_sample_submission(sample, "humpback")
    path = tmp_path / "s.csv"
    write_submission(RANKING, ["1.jpg", "2.jpg"], path, "humpback", sample=wanted)
    assert path.read_text().splitlines()[1:] == [
        "2.jpg,f g new_whale h i",
        "broken.jpg,new_whale",
        "1.jpg,new_whale a b c d",
        "NA,new_whale",
    ]
    with pytest.raises(ValueError, match="strangers=1"):
        submission_table(RANKING, ["1.jpg", "3.jpg"], sample=wanted)


def test_places_without_a_label():
    ranking = Ranking([["a", ""], ["", ""]], [[0.5, 0.1], [0.2, 0.1]])
    table = submission_table(ranking, ["1.jpg", "2.jpg"])
    assert table["predictions"].to_list() == ["a", "new_individual"]


@pytest.mark.parametrize(
    "text", ["", "image,predictions\n1.jpg,x\n", "Image,Id\n1.jpg,x\n1.jpg,x\n"]
)
def test_wrong_samples(tmp_path, text):
    (tmp_path / "sample.csv").write_text(text)
    with pytest.raises(ValueError, match=r"sample\.csv"):
        read_sample_submission(tmp_path / "sample.csv", "humpback")


@pytest.mark.parametrize(
    ("ranking", "ids", "form"),
    [
        (RANKING, ["1.jpg"], "happywhale"),
        (RANKING, ["1.jpg", "1.jpg"], "happywhale"),
        (RANKING, ["1.jpg", "2.jpg"], "orca"),
        (Ranking([["two words"]], [[1.0]]), ["1.jpg"], "happywhale"),
    ],
)
def test_wrong_submissions(ranking, ids, form):
    with pytest.raises(ValueError, match="Received: "):
        submission_table(ranking, ids, form)


def test_pseudo_labels():
    table = listed({"unknown": 4}, species=["beluga"] * 4)
    ranking = Ranking(
        [["A"], ["new_individual"], ["B"], ["C"]], [[0.9], [0.9], [0.6], [0.59]]
    )
    sure = pseudo_labels(ranking, table, 0.6)
    assert sure["identity"].to_list() == ["A", "B"]
    assert sure.index.to_list() == [0, 2]
    assert set(sure["split"]) == {"train"} and sure["pseudo_label"].all()
    assert sure["pseudo_score"].to_list() == pytest.approx([0.9, 0.6])
    assert (table["identity"] == "unknown").all()
    with pytest.raises(ValueError, match="Received: table=3, ranking=4"):
        pseudo_labels(ranking, table.head(3), 0.6)
