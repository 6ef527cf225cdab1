"""Checks keyword arguments for a function that the user chose by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from keras_involution._arguments import received


class KeywordError(TypeError, ValueError):
    """An argument that does not exist or is missing; commands show it in one line."""


def check_keywords(
    function: Callable[..., Any],
    keywords: Mapping[str, Any],
    owner: str,
    given: Collection[str] = (),
) -> None:
    """Refuses keyword arguments that a function does not have, and missing ones.

    Args:
        function: Function or class.
        keywords: The keyword arguments.
        owner: String, the name of the function as the user knows it.
        given: Collection of names that the caller passes itself.

    Raises:
        TypeError: If a name is unknown, with the nearest one, or one is missing.
    """
    parameters = inspect.signature(function).parameters
    known = [
        name
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and name not in given
    ]
    for name, value in keywords.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean `{near[0]}`?" if near else f"it has {known}."
            raise KeywordError(
                f"`{owner}` has no argument `{name}`; {hint} "
                + received(**{name: value})
            )
    missing = [
        name
        for name in known
        if parameters[name].default is inspect.Parameter.empty and name not in keywords
    ]
    if missing:
        raise KeywordError(
            f"`{owner}` needs the argument `{missing[0]}`. {received(**keywords)}"
        )
