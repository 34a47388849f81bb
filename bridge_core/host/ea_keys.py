"""The EA's key file, `ea/bridge.key`: a text that MQL4 can read line by line (protocol.md 14).

    ztb-ea/1
    account <alias>
    mode live|paper
    endpoint tcp://<host>:<port>
    server_public <Z85, 40 characters>
    curve_public <Z85>
    curve_secret <Z85>
    event <kid> <event<ea, 64 hex digits>
    set <kid> <scope> <order>ea or admin>ea, or "-"> <reply<ea, or "-">
    end

ASCII, one space between fields, lines end in LF or CRLF, exactly this order, 1 to 32 `set` lines.
In a paper file every key of a set is "-": such an EA cannot carry out an order, whatever it is
sent. Both writer and reader live here, so that the simulated EA reads what the real one is given.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from bridge_core.host.bundles import Bundle, EventRoot, ServerKeys
from bridge_core.host.keyfiles import (
    parse_key_hex,
    read_secret_file,
    replace_secret_file,
    write_secret_file,
)
from bridge_core.host.sockets import CurveKeys
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import KeySet, Mode, Secret
from bridge_core.protocol.operations import Purpose, Scope

__all__ = [
    "EA_FILE", "EA_SETS_MAX", "EaKeys", "EaSet", "ea_keys", "ea_set", "format_ea_keys",
    "format_ea_set", "load_ea_keys", "parse_ea_keys", "replace_ea_keys", "save_ea_keys",
]  # fmt: skip

EA_FILE: Final = "bridge.key"
EA_SETS_MAX: Final = 32
_KIND: Final = "ztb-ea/1"
_NONE: Final = "-"
_FIX: Final = "copy ea/bridge.key again from where `ztb init` made it"

_ALIAS: Final = re.compile(r"[A-Za-z0-9_-]{1,24}")
_KID: Final = re.compile(r"[a-z0-9-]{2,16}")
_Z85: Final = re.compile(r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}")
_ENDPOINT: Final = re.compile(r"tcp://[A-Za-z0-9.-]{1,64}:[1-9][0-9]{0,4}")
_SIGNS: Final = {
    Scope.TRADE: Purpose.ORDER_EA, Scope.REDUCE: Purpose.ORDER_EA,
    Scope.OPERATOR: Purpose.ADMIN_EA,
}  # fmt: skip


class _Silent(Struct, frozen=True, kw_only=True):
    def __reduce__(self) -> NoReturn:
        raise TypeError("a key file is not pickled")


class EaSet(_Silent, frozen=True, kw_only=True):
    """One key set as the EA holds it; a key is 64 hex digits, or "" for none."""

    kid: str
    scope: Scope
    signs: str
    reply: str

    def __repr__(self) -> str:
        """Name the set, never its keys."""
        return f"<EaSet {self.kid} {self.scope}>"


class EaKeys(_Silent, frozen=True, kw_only=True):
    """Everything the EA holds. `sets` keep the order of the file."""

    acct: str
    mode: Mode
    endpoint: str
    server_public: str
    curve_public: str
    curve_secret: str
    event_kid: str
    event_ea: str
    sets: tuple[EaSet, ...]

    def __repr__(self) -> str:
        """Name the account, never the keys."""
        return f"<EaKeys {self.acct} {self.mode}, {len(self.sets)} sets>"

    def curve(self) -> CurveKeys:
        """Return the EA's CURVE pair."""
        return CurveKeys(self.curve_public.encode("ascii"), self.curve_secret.encode("ascii"))

    def event_key(self) -> bytes:
        """Return `event<ea`, which signs the EA's events."""
        return parse_key_hex(self.event_ea)

    def key_sets(self) -> dict[str, KeySet]:
        """Return the sets by kid with their keys as bytes; a paper file's sets hold none."""
        return {one.kid: self._key_set(one) for one in self.sets}

    def _key_set(self, one: EaSet) -> KeySet:
        keys: dict[Purpose, bytes] = {}
        if one.reply:
            keys[Purpose.REPLY_EA] = parse_key_hex(one.reply)
        if one.signs:
            keys[_SIGNS[one.scope]] = parse_key_hex(one.signs)
        return KeySet(kid=one.kid, acct=self.acct, mode=self.mode, scope=one.scope, keys=keys)

    def kids(self) -> tuple[str, ...]:
        """Return the key ids in the order of the file."""
        return tuple(one.kid for one in self.sets)

    def with_set(self, added: EaSet) -> EaKeys:
        """Return the same keys with one more set at the end.

        Raises:
            ConfigError: KEY_SETS; the file is full, or the kid is in it already.
        """
        if added.kid in self.kids():
            raise ConfigError("KEY_SETS", f"key id {added.kid} is in the EA's file already")
        if len(self.sets) >= EA_SETS_MAX:
            raise ConfigError(
                "KEY_SETS",
                f"the EA's file holds {EA_SETS_MAX} key sets, the most it takes: "
                "revoke one with `ztb keys revoke`",
            )
        return replace(self, sets=(*self.sets, added))

    def without_set(self, kid: str) -> EaKeys:
        """Return the same keys without one set; a kid that is not there changes nothing."""
        return replace(self, sets=tuple(one for one in self.sets if one.kid != kid))


def ea_set(bundle: Bundle) -> EaSet:
    """Return what the EA may hold of a signer's bundle: nothing at all of a paper one."""
    signs = _SIGNS.get(bundle.scope)
    if not bundle.ea or bundle.mode is not Mode.LIVE:
        return EaSet(kid=bundle.kid, scope=bundle.scope, signs="", reply="")
    held = bundle.key_set().keys
    return EaSet(
        kid=bundle.kid,
        scope=bundle.scope,
        signs=held[signs].hex() if signs is not None else "",
        reply=held[Purpose.REPLY_EA].hex(),
    )


def ea_keys(
    server: ServerKeys, curve: CurveKeys, events: EventRoot, endpoint: str, sets: tuple[EaSet, ...]
) -> EaKeys:
    """Return the file of an account's EA; `curve` is the EA's own pair."""
    return EaKeys(
        acct=server.acct,
        mode=server.mode,
        endpoint=endpoint,
        server_public=server.curve_public,
        curve_public=curve.public.decode("ascii"),
        curve_secret=curve.secret.decode("ascii"),
        event_kid=events.kid,
        event_ea=events.key(Purpose.EVENT_EA).hex(),
        sets=sets,
    )


# --- writing -------------------------------------------------------------------------------


def format_ea_set(one: EaSet) -> bytes:
    """Return the line of one set."""
    line = f"set {one.kid} {one.scope} {one.signs or _NONE} {one.reply or _NONE}\n"
    return Secret(line.encode("ascii"))


def format_ea_keys(keys: EaKeys) -> bytes:
    """Return the text of the file."""
    head = [
        _KIND,
        f"account {keys.acct}",
        f"mode {keys.mode}",
        f"endpoint {keys.endpoint}",
        f"server_public {keys.server_public}",
        f"curve_public {keys.curve_public}",
        f"curve_secret {keys.curve_secret}",
        f"event {keys.event_kid} {keys.event_ea}",
    ]
    text = "".join(f"{line}\n" for line in head).encode("ascii")
    return Secret(text + b"".join(format_ea_set(one) for one in keys.sets) + b"end\n")


def save_ea_keys(path: Path, keys: EaKeys) -> None:
    """Write the file, which must not exist yet.

    Raises:
        ConfigError: KEY_FILE; as `write_secret_file`, or it would not be read again.
    """
    write_secret_file(path, _checked(keys, path))


def replace_ea_keys(path: Path, keys: EaKeys) -> None:
    """Replace the file as a whole: a reader sees the old one or the new one.

    Raises:
        ConfigError: KEY_FILE; as `replace_secret_file`, or it would not be read again.
    """
    replace_secret_file(path, _checked(keys, path))


def _checked(keys: EaKeys, path: Path) -> bytes:
    """Return the text, once the reader took it: what is written can be read."""
    text = Secret(format_ea_keys(keys))
    parse_ea_keys(text, str(path))
    return text


# --- reading -------------------------------------------------------------------------------


class _Lines:
    """The lines of one file; every refusal names the line and never its content."""

    def __init__(self, data: bytes, name: str) -> None:
        self._name = name
        self.number = 0
        try:
            text = Secret(data).decode("ascii")
        except UnicodeDecodeError:
            raise self.refusal("a byte that is not ASCII") from None
        self._rest = text.replace("\r\n", "\n").split("\n")
        # `end` closes the file, so that a truncated copy is never taken for a whole one.
        if self._rest[-1] == "":
            self._rest.pop()

    def __repr__(self) -> str:
        return f"<lines of {self._name}>"

    def refusal(self, problem: str) -> ConfigError:
        where = f", line {self.number}" if self.number else ""
        return ConfigError("KEY_FILE", f"{self._name}{where}: {problem}: {_FIX}")

    def take(self) -> list[str]:
        """Return the fields of the next line."""
        self.number += 1
        if not self._rest:
            raise self.refusal("the file ends too early")
        return self._rest.pop(0).split(" ")

    def value(self, word: str, shape: re.Pattern[str]) -> str:
        """Return the one value of the next line, which must be `word`'s."""
        fields = self.take()
        if len(fields) != 2 or fields[0] != word:
            raise self.refusal(f"`{word} …` belongs here")
        return self.shaped(fields[1], shape, word)

    def shaped(self, text: str, shape: re.Pattern[str], what: str) -> str:
        if shape.fullmatch(text) is None:
            raise self.refusal(f"the {what} is malformed")
        return text

    def key(self, text: str) -> str:
        """Return 64 hex digits that are no weak key."""
        try:
            parse_key_hex(text)
        except ConfigError as error:
            problem = error.detail.split(":")[0]
        else:
            return text
        del text
        raise self.refusal(problem)

    def finished(self) -> None:
        if self._rest:
            self.number += 1
            raise self.refusal("something follows `end`")


def _set(lines: _Lines, fields: list[str], mode: Mode) -> EaSet:
    if len(fields) != 5 or fields[0] != "set":
        raise lines.refusal("`set KID SCOPE KEY KEY` or `end` belongs here")
    kid = lines.shaped(fields[1], _KID, "key id")
    if fields[2] not in tuple(Scope):
        raise lines.refusal("the scope is none of trade, reduce, query, operator")
    scope = Scope(fields[2])
    wanted = (mode is Mode.LIVE and scope in _SIGNS, mode is Mode.LIVE)
    held = tuple(field != _NONE for field in fields[3:])
    if held != wanted:
        raise lines.refusal(
            "a paper file holds no key of a set" if mode is Mode.PAPER
            else f"a live {scope} set has "
            + ("two keys" if scope in _SIGNS else 'one key, after a "-"')
        )  # fmt: skip
    signs, reply = (lines.key(field) if field != _NONE else "" for field in fields[3:])
    return EaSet(kid=kid, scope=scope, signs=signs, reply=reply)


def _sets(lines: _Lines, mode: Mode, event_kid: str) -> tuple[EaSet, ...]:
    found: list[EaSet] = []
    seen = {event_kid}
    while (fields := lines.take()) != ["end"]:
        one = _set(lines, fields, mode)
        if one.kid in seen:
            raise lines.refusal(f"key id {one.kid} stands twice")
        if len(found) == EA_SETS_MAX:
            raise lines.refusal(f"more than {EA_SETS_MAX} key sets")
        seen.add(one.kid)
        found.append(one)
    if not found:
        raise lines.refusal("no `set` line")
    return tuple(found)


def parse_ea_keys(data: bytes, name: str = EA_FILE) -> EaKeys:
    """Return what the text of the file says.

    Raises:
        ConfigError: KEY_FILE; names the line and what belongs there, never what stands there.
    """
    data = Secret(data)
    try:
        return _read(data, name)
    except ConfigError as error:
        detail = error.detail
    # Raised here: the reader's frames hold keys, which a traceback with locals would show.
    raise ConfigError("KEY_FILE", detail)


def _read(data: bytes, name: str) -> EaKeys:
    lines = _Lines(data, name)
    if lines.take() != [_KIND]:
        raise lines.refusal(f"`{_KIND}` belongs here")
    acct = lines.value("account", _ALIAS)
    mode = Mode(lines.value("mode", re.compile("live|paper")))
    endpoint = lines.value("endpoint", _ENDPOINT)
    server_public, curve_public, curve_secret = (
        lines.value(word, _Z85) for word in ("server_public", "curve_public", "curve_secret")
    )
    fields = lines.take()
    if len(fields) != 3 or fields[0] != "event":
        raise lines.refusal("`event KID KEY` belongs here")
    event_kid = lines.shaped(fields[1], _KID, "key id")
    event_ea = lines.key(fields[2])
    sets = _sets(lines, mode, event_kid)
    lines.finished()
    return EaKeys(
        acct=acct,
        mode=mode,
        endpoint=endpoint,
        server_public=server_public,
        curve_public=curve_public,
        curve_secret=curve_secret,
        event_kid=event_kid,
        event_ea=event_ea,
        sets=sets,
    )


def load_ea_keys(path: Path) -> EaKeys:
    """Return the keys in an owner-only file.

    Raises:
        ConfigError: KEY_FILE; as `read_secret_file` and `parse_ea_keys`.
    """
    return parse_ea_keys(read_secret_file(path), str(path))
