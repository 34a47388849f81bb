"""Settings: TOML into frozen closed structs, `.env` credentials; each failure names its fix."""

from __future__ import annotations

import difflib
import io
import threading
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from dotenv import dotenv_values
from dotenv.parser import parse_stream

from bridge_core.host.keyfiles import read_secret_file
from bridge_core.protocol.errors import ConfigError

__all__ = ["load_env", "load_toml", "nearest"]

T = TypeVar("T", bound=msgspec.Struct)

_TOML_BYTES_MAX: Final = 1_048_576
_one_at_a_time: Final = threading.Lock()
_WORDS: Final = {
    "str": '"TEXT"', "int": "NUMBER", "float": "NUMBER", "bool": "true or false", "list": "[…]",
    "tuple": "[…]",
}  # fmt: skip


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name a misspelt one most likely means, or None."""
    by_lower = {word.lower(): word for word in known}
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def _refuse(path: Path, problem: str) -> ConfigError:
    return ConfigError("CONFIG", f"{path}: {problem}")


# --- TOML ----------------------------------------------------------------------------------


class _Place(typing.NamedTuple):
    """Where in which file we are looking."""

    file: Path
    keys: tuple[str, ...] = ()

    def into(self, key: str) -> _Place:
        return _Place(self.file, (*self.keys, key))

    @property
    def text(self) -> str:
        return ".".join(key if key.isidentifier() else f'"{key}"' for key in self.keys)

    @property
    def table(self) -> str:
        return f"[{self.text}]" if self.keys else "the top of the file"


def load_toml(path: Path, type_: type[T]) -> T:
    """Return the settings in a TOML file (UTF-8, at most 1 MiB) as a frozen closed struct.

    Raises:
        ConfigError: CONFIG; unreadable, not TOML, or a key that is unknown, missing or wrong.
    """
    assert type_.__struct_config__.forbid_unknown_fields, "settings are closed structs"
    table = _read_toml(path)
    place = _Place(path)
    try:
        # msgspec builds what it knows of a type at its first use, and not safely in two threads.
        with _one_at_a_time:
            _check(table, type_, place)
            return msgspec.convert(table, type_)
    except msgspec.ValidationError as error:  # a rule that spans several keys (__post_init__)
        raise _refuse(path, f"{error}; change those lines") from None


def _read_toml(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            data = file.read(_TOML_BYTES_MAX + 1)
    except FileNotFoundError:
        raise _refuse(path, "no such file; check the path, or make it with `ztb init`") from None
    except OSError as error:
        raise _refuse(path, f"cannot be read ({error.strerror}); check its permissions") from None
    if len(data) > _TOML_BYTES_MAX:
        raise _refuse(path, f"is larger than {_TOML_BYTES_MAX} bytes; give the settings file")
    try:
        return tomllib.loads(data.decode("utf-8-sig"))  # Windows editors like to write a BOM
    except UnicodeDecodeError:
        raise _refuse(path, "is not UTF-8 text; save it again as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _refuse(path, f"is not TOML, {error}; mend that line") from None
    except RecursionError:
        raise _refuse(path, "is nested too deeply; write plain tables") from None


def _check(value: object, type_: object, place: _Place) -> None:
    """Walk the value along its type, so that the first wrong key can be named exactly."""
    if isinstance(value, dict):
        struct = _find(type_, _is_struct)
        if struct is not None:
            _check_struct(value, typing.cast("type[msgspec.Struct]", struct), place)
            return
        mapping = _find(type_, lambda option: typing.get_origin(option) in {dict, Mapping})
        if mapping is not None:
            for key, inner in value.items():
                _check(inner, typing.get_args(mapping)[1], place.into(key))
            return
    if isinstance(value, list):
        rows = _find(type_, lambda option: typing.get_origin(option) in {list, tuple, Sequence})
        row_type = typing.get_args(rows)[0] if rows is not None else None
        if row_type is not None and _find(row_type, _is_struct) is not None:
            for number, row in enumerate(value, 1):
                _check(row, row_type, place.into(str(number)))
            return
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        reason = str(error).partition(" - at ")[0].replace("`", "")
        raise _refuse(place.file, f"`{place.text}`: {reason}; change that line") from None


def _check_struct(value: dict[str, object], type_: type[msgspec.Struct], place: _Place) -> None:
    fields = _fields(type_)
    for key in value:
        if key not in fields:
            near = nearest(key, fields)
            hint = f"did you mean `{near}`?" if near else f"known here: {', '.join(fields)}"
            raise _refuse(
                place.file, f"unknown key `{place.into(key).text}`; {hint} Rename or remove it"
            )
    for name, field in fields.items():
        if name in value:
            _check(value[name], field.type, place.into(name))
        elif field.required:
            raise _refuse(place.file, _missing(name, field.type, place))


@cache  # it evaluates every annotation anew: most of what reading a file takes
def _fields(type_: type[msgspec.Struct]) -> Mapping[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(type_)}


def _missing(name: str, type_: object, place: _Place) -> str:
    inner = place.into(name)
    if _find(type_, lambda option: _is_struct(option) or typing.get_origin(option) is dict):
        return f"`{inner.text}` is missing; add the table [{inner.text}]"
    return f"`{inner.text}` is missing; add the line `{name} = {_sample(type_)}` to {place.table}"


def _sample(type_: object) -> str:
    """Return what stands to the right of `=` in a line of this type."""
    plain = _options(type_)[0]
    if isinstance(plain, type) and issubclass(plain, Enum):
        return " or ".join(f'"{member.value}"' for member in plain)
    if typing.get_origin(plain) is typing.Literal:
        return " or ".join(f'"{word}"' for word in typing.get_args(plain))
    origin = typing.get_origin(plain) or plain
    return _WORDS.get(getattr(origin, "__name__", ""), "VALUE")


def _options(type_: object) -> list[object]:
    """Return the members of a union, without Annotated and None."""
    if typing.get_origin(type_) is typing.Annotated:
        return _options(typing.get_args(type_)[0])
    if typing.get_origin(type_) in {typing.Union, types.UnionType}:
        members = [option for part in typing.get_args(type_) for option in _options(part)]
        return [option for option in members if option is not type(None)] or [type(None)]
    return [type_]


def _is_struct(option: object) -> bool:
    return isinstance(option, type) and issubclass(option, msgspec.Struct)


def _find(type_: object, wanted: Callable[[object], bool]) -> object | None:
    return next((option for option in _options(type_) if wanted(option)), None)


# --- .env ----------------------------------------------------------------------------------


def load_env(path: Path, allowed: Iterable[str]) -> dict[str, str]:
    """Return the names and values in exactly this `.env` file, which must be owner-only.

    Nothing is searched for, interpolated, or put into the process environment. A wrong line is
    named by its number only: what stands there may be half a password.

    Raises:
        ConfigError: KEY_FILE as `read_secret_file`; CONFIG for a line that is not NAME=VALUE, a
            name that is unknown or given twice.
    """
    data = read_secret_file(path)
    problem = _env_problem(data, frozenset(allowed))
    if problem is not None:
        raise _refuse(path, problem)
    values = dotenv_values(stream=io.StringIO(data.decode("utf-8-sig")), interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def _env_problem(data: bytes, known: frozenset[str]) -> str | None:
    # Returned and not raised: the text must be in no frame of a traceback with locals.
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "is not UTF-8 text; save it again as UTF-8"
    seen: set[str] = set()
    for binding in parse_stream(io.StringIO(text)):
        line = binding.original.line
        if binding.error or (binding.key is not None and binding.value is None):
            return f"line {line} is not NAME=VALUE; mend or remove it"
        if binding.key is None:
            continue
        if binding.key not in known:
            near = nearest(binding.key, known)
            hint = f"did you mean {near}?" if near else f"known: {', '.join(sorted(known))}."
            return f"unknown name in line {line}; {hint} Rename or remove it"
        if binding.key in seen:
            return f"{binding.key} is given again in line {line}; keep one of them"
        seen.add(binding.key)
    return None
