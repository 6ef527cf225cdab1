"""The species names in the Happywhale table, and their misspellings."""

from __future__ import annotations

import re

SPECIES = (
    "beluga",
    "blue_whale",
    "bottlenose_dolphin",
    "brydes_whale",
    "commersons_dolphin",
    "common_dolphin",
    "cuviers_beaked_whale",
    "dusky_dolphin",
    "false_killer_whale",
    "fin_whale",
    "frasiers_dolphin",
    "gray_whale",
    "humpback_whale",
    "killer_whale",
    "long_finned_pilot_whale",
    "melon_headed_whale",
    "minke_whale",
    "pantropic_spotted_dolphin",
    "pygmy_killer_whale",
    "rough_toothed_dolphin",
    "sei_whale",
    "short_finned_pilot_whale",
    "southern_right_whale",
    "spinner_dolphin",
    "spotted_dolphin",
    "white_sided_dolphin",
)
# As interpreted by the winners of 2022 and in the competition's forum.
_MEANT = {
    "globis": "short_finned_pilot_whale",
    "pilot_whale": "short_finned_pilot_whale",
    "kiler_whale": "killer_whale",
    "bottlenose_dolpin": "bottlenose_dolphin",
    "frasers_dolphin": "frasiers_dolphin",
    "grey_whale": "gray_whale",
}


def clean_species(name: str) -> str:
    """Returns a species name in the spelling of the 26 Happywhale species.

    Case, spaces, hyphens and apostrophes are ignored; `globis` and `pilot_whale` are
    short-finned pilot whales, and the table's two misspellings are corrected. Other
    names are returned in lower case with underscores.

    Args:
        name: String.

    Returns:
        String.

    Example:

    >>> from keras_involution.whale_id.tables import clean_species
    >>> clean_species("kiler_whale"), clean_species("Bryde's Whale")
    ('killer_whale', 'brydes_whale')
    """
    plain = re.sub(r"['\u2019`]", "", name.strip().lower())
    plain = re.sub(r"[\s\-_]+", "_", plain)
    return _MEANT.get(plain, plain)


def is_whale_by_name(species: str) -> bool:
    """Whether a species counts as a whale by its name.

    By name, not by taxonomy: killer, pilot, false killer and melon-headed whales are
    oceanic dolphins.
    """
    return "whale" in species or species == "beluga"
