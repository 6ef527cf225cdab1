"""Checks keyword arguments for a function that the user chose by name."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from keras_involution._arguments import received


class KeywordError(TypeError, ValueError):
    """An unknown or missing argument.

    It is also a `ValueError`, so that commands print it without a traceback.
    """


def check_keywords(
    function: Callable[..., Any],
    keywords: Mapping[str, Any],
    owner: str,
    given: Collection[str] = (),
) -> None:
    """Checks that keyword arguments match the signature of a function.

    Args:
        function: Function or class.
        keywords: The keyword arguments.
        owner: String, name of the function for the error message.
        given: Collection of names that the caller passes itself.

    Raises:
        TypeError: If an argument is unknown or missing. The message suggests the
            nearest name.
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
