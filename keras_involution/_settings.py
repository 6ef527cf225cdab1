"""Settings of a program as a typed dataclass, a YAML file and command-line options."""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any, Self, TypeVar

from keras_involution._arguments import received
from keras_involution._files import reading, write_text

Command = TypeVar("Command", bound=Callable[..., Any])


def setting(default: Any, help: str, *, choices: tuple[str, ...] | None = None) -> Any:
    """A field of `Settings` with the help text of its option.

    Args:
        default: Default value; lists and dictionaries are copied.
        help: String, the help text.
        choices: Tuple of the allowed strings; `None` allows any.
    """
    metadata = {"help": help, "choices": choices}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base class for frozen dataclasses whose fields are made by `setting`.

    Values are converted to the type of their field if the conversion loses nothing.

    Raises:
        ValueError: If a value has the wrong type or is not one of the choices.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for one in dataclasses.fields(self):
            value = _converted(getattr(self, one.name), hints[one.name], one.name)
            choices = one.metadata.get("choices")
            if choices and value is not None and value not in choices:
                raise ValueError(
                    f"`{one.name}` must be one of {choices}. "
                    + received(**{one.name: value})
                )
            object.__setattr__(self, one.name, value)
        self.check()

    def check(self) -> None:
        """Raises `ValueError` for invalid values. Subclasses override it."""

    def to_dict(self) -> dict[str, Any]:
        """All settings as plain values."""
        return dataclasses.asdict(self)

    def save(self, path: str | Path) -> None:
        """Writes all settings, defaults included, as YAML."""
        import yaml

        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False))

    @classmethod
    def load(cls, path: str | Path | None = None, **changes: Any) -> Self:
        """Loads settings from a YAML file. Missing settings have their defaults.

        Args:
            path: Path of the file, or `None`.
            **changes: Settings that override those of the file.

        Raises:
            ValueError: If the file is not a mapping, or a setting is unknown or
                invalid.
        """
        settings = {**(_read_yaml(path) if path is not None else {}), **changes}
        known = [one.name for one in dataclasses.fields(cls)]
        for name, value in settings.items():
            if name not in known:
                near = difflib.get_close_matches(str(name), known, 1)
                hint = f"; did you mean `{near[0]}`?" if near else "."
                raise ValueError(
                    f"There is no setting `{name}`{hint} "
                    + received(**{str(name): value})
                )
        return cls(**settings)


def _read_yaml(path: str | Path) -> dict[str, Any]:
    import yaml

    with reading(path, "The settings"):
        settings = yaml.safe_load(Path(path).read_text("utf-8"))
    if not isinstance(settings or {}, dict):
        raise ValueError(
            f"The settings must be `name: value` lines. {received(path=str(path))}"
        )
    return settings or {}


def _plain(kind: Any) -> tuple[Any, bool]:
    """The type without `None`, and whether `None` is allowed."""
    options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    plain = next(option for option in options if option is not type(None))
    return plain, type(None) in options


def _converted(value: Any, kind: Any, name: str) -> Any:
    """`value` converted to its type, since YAML reads `1e-3` as text."""
    plain, optional = _plain(kind)
    if value is None and optional:
        return None
    try:
        if typing.get_origin(plain) is list:
            if not isinstance(value, list | tuple):
                raise TypeError
            [item] = typing.get_args(plain)
            return [_number(one, item) if item is int else item(one) for one in value]
        if plain in (int, float):
            return _number(value, plain)
        if isinstance(value, plain):
            return value
        if plain is str and isinstance(value, int | Path):
            return str(value)
    except (TypeError, ValueError, OverflowError):
        pass
    wanted = getattr(plain, "__name__", str(plain))
    raise ValueError(f"`{name}` must be of type {wanted}. {received(**{name: value})}")


def _number(value: Any, kind: type) -> Any:
    if isinstance(value, bool) or (kind is int and int(value) != float(value)):
        raise TypeError
    return kind(value)


def setting_options(settings: type[Settings], *left_out: str) -> Callable:
    """Returns a decorator that adds an option for every setting to a click command.

    Options that are not given are `None` and do not override the YAML file.
    Lists are written as `16,32,64`, dictionaries as `momentum=0.9,nesterov=true` or as
    JSON.

    Args:
        settings: Subclass of `Settings`.
        *left_out: Names of settings without an option.
    """
    import cloup

    kinds = typing.get_type_hints(settings)

    def decorate(command: Command) -> Command:
        options = []
        for one in dataclasses.fields(settings):
            if one.name in left_out:
                continue
            plain, _ = _plain(kinds[one.name])
            flag = f"--{one.name.replace('_', '-')}"
            if plain is bool:
                option = cloup.option(
                    flag,
                    one.name,
                    flag_value=True,
                    default=None,
                    help=one.metadata["help"],
                )
            else:
                text = f"{one.metadata['help']}  [default: {_shown(one)}]"
                kind = _option_type(plain, one.metadata["choices"])
                option = cloup.option(flag, one.name, type=kind, help=text)
            options.append(option)
        return cloup.option_group("Settings", *options)(command)

    return decorate


def _shown(one: dataclasses.Field) -> str:
    default = one.default
    if default is dataclasses.MISSING and callable(one.default_factory):
        default = one.default_factory()
    return "none" if default in (None, [], {}, "") else str(default)


def _option_type(plain: Any, choices: tuple[str, ...] | None) -> Any:
    import click

    if choices:
        return click.Choice(choices)
    origin = typing.get_origin(plain)
    if origin is list:
        return _parsed_by(_items, f"{typing.get_args(plain)[0].__name__.upper()},...")
    return _parsed_by(keywords_of, "NAME=VALUE,...") if plain is dict else plain


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def keywords_of(text: str) -> dict[str, Any]:
    """Parses `"momentum=0.9,nesterov=true"` or a JSON object.

    Raises:
        ValueError: If the text is neither.
    """
    if text.lstrip().startswith("{"):
        found = json.loads(text)
        return dict(found)
    found = {}
    for entry in _items(text):
        name, equals, value = entry.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ValueError(
                "Expected name=value,... or a JSON object. " + received(text=text)
            )
        try:
            found[name.strip()] = json.loads(value)
        except json.JSONDecodeError:
            found[name.strip()] = value
    return found


def _parsed_by(parse: Callable[[str], Any], label: str) -> Any:
    import click

    class Parsed(click.ParamType):
        name = label

        def convert(self, value: Any, param: Any, context: Any) -> Any:
            try:
                return parse(value) if isinstance(value, str) else value
            except ValueError as error:
                return self.fail(str(error), param, context)

    return Parsed()
