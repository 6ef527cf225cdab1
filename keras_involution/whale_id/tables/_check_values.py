"""Finds problems of the names, species and dates of a table."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches

import pandas as pd

from keras_involution.whale_id.tables._dates import parse_dates
from keras_involution.whale_id.tables._problem import Problem
from keras_involution.whale_id.tables.species import SPECIES

# A spreadsheet treats text that starts like this as a formula, unless it is a number.
_FORMULA = re.compile(r"[=@\t\r]|[+-](?!\d+(\.\d*)?$)")

_ALPHABETS = {"Latin", "Cyrillic", "Greek", "Armenian", "Cherokee"}
# Cyrillic and Greek letters that look like Latin letters in common typefaces.
_LOOK_ALIKES = str.maketrans(
    "АВЕКМНОРСТУХЅІЈаеорсухѕіјԁһԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρ",  # noqa: RUF001
    "ABEKMHOPCTYXSIJaeopcyxsijdhqwABEZHIKMNOPTYXovp",
)


def repeated_ids(table: pd.DataFrame) -> Iterator[Problem]:
    for row in table.index[table["image_id"].duplicated()]:
        what = f"image_id {table.at[row, 'image_id']!r} occurs before"
        yield Problem(row, "repeated id", what)


def unknown_species(table: pd.DataFrame) -> Iterator[Problem]:
    """Names similar to a known one, and unknown names in a table of cetaceans."""
    if "species" not in table:
        return
    counts = Counter(table["species"].dropna())
    listed = sum(n for name, n in counts.items() if name in SPECIES)
    for name, count in counts.items():
        often = [other for other, n in counts.items() if n > 5 * count]
        close = [] if name in SPECIES else _close(name, [*SPECIES, *often])
        if name in SPECIES or not (close or 2 * listed > counts.total()):
            continue
        what = f"the species {name!r} is not known"
        what += f"; did you mean {close[0]!r}?" if close else ""
        for row in table.index[table["species"] == name]:
            yield Problem(row, "species", what, close[0] if close else None)


def _close(name: str, names: list[str]) -> list[str]:
    return get_close_matches(name, names, n=1, cutoff=0.85)


def unclear_dates(table: pd.DataFrame) -> Iterator[Problem]:
    if "date" not in table:
        return
    written = table["date"].dropna()
    for row in written.index[parse_dates(written).isna()]:
        what = f"{table.at[row, 'date']!r} is not a clear date; write 2019-05-30"
        yield Problem(row, "date", what)


def formulas(table: pd.DataFrame) -> Iterator[Problem]:
    for column in ("image_id", "identity"):
        names = table[column].astype(str)
        for row, name in names[names.str.match(_FORMULA)].items():
            what = f"the {column} {name!r} would be run as a formula by a spreadsheet"
            yield Problem(row, "formula", what)


def other_spellings(table: pd.DataFrame) -> Iterator[Problem]:
    names = table["identity"].astype(str)
    counts = names.value_counts()
    usual: dict[str, str] = {}
    for name in sorted(counts.index, key=lambda name: (-counts[name], name)):
        usual.setdefault(_plain(name), name)
    for row, name in names.items():
        if (other := usual[_plain(name)]) != name:
            what = f"the identity {name!r} is written {other!r} elsewhere"
            yield Problem(row, "spelling", what)


def strange_letters(table: pd.DataFrame) -> Iterator[Problem]:
    """Identities with invisible characters, or letters of several alphabets."""
    for row, name in table["identity"].astype(str).items():
        invisible = sorted({_name_of(c) for c in name if _is_invisible(c)})
        if invisible:
            what = f"the identity {name!a} contains invisible {', '.join(invisible)}"
            yield Problem(row, "letters", what)
        alphabets = sorted({_alphabet(c) for c in name if c.isalpha()} & _ALPHABETS)
        if len(alphabets) > 1:
            what = f"the identity {name!a} mixes letters of {' and '.join(alphabets)}"
            yield Problem(row, "letters", what)


def _is_invisible(sign: str) -> bool:
    kind = unicodedata.category(sign)
    return kind in ("Cf", "Cc", "Zl", "Zp") or (kind == "Zs" and sign != " ")


def _name_of(sign: str) -> str:
    return unicodedata.name(sign, f"U+{ord(sign):04X}").lower()


def _alphabet(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0].title()


def _plain(name: str) -> str:
    """A form that is equal for names that look alike: `Luna 1`, `luna-1`, `LUNA_1`.

    Letters that look like Latin letters are replaced, and invisible ones are removed.
    """
    seen = "".join(c for c in name if not _is_invisible(c) or c.isspace())
    latin = unicodedata.normalize("NFKC", seen).translate(_LOOK_ALIKES)
    return re.sub(r"[\s_-]+", " ", latin.casefold().translate(_LOOK_ALIKES))
