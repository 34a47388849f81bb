"""The EA's key file `ea/bridge.key`, read as the EA reads it (protocol.md 14).

Text, ASCII, LF or CRLF; fields stand one space apart, in exactly this order:

    ztb-ea/1
    account <alias>
    mode live|paper
    endpoint tcp://127.0.0.1:<port>
    server_public <Z85, 40 characters>
    curve_public <Z85, 40 characters>
    curve_secret <Z85, 40 characters>
    event <kid> <event<ea, 64 hex digits>
    set <kid> <scope> <order>ea or admin>ea, 64 hex digits> <reply<ea, 64 hex digits>
    end

A query set has no order key (`-`); in paper mode no set has any key. Whatever else a line says is
malformed, and so is a weak key (all bytes equal) or a key id given twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

from bridge_core.host.bundles import Bundle
from bridge_core.host.sockets import CurveKeys
from bridge_core.protocol.keys import Mode, Secret
from bridge_core.protocol.operations import Purpose, Scope

__all__ = [
    "EaKeyError", "EaKeys", "EaSet", "ea_key_text", "ea_keys_of", "parse_ea_keys", "read_ea_keys",
]  # fmt: skip

SETS_MAX: Final = 32
NO_KEY: Final = "-"

_KID = r"[a-z0-9-]{2,16}"
_Z85 = r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}"
_HEX = r"[0-9a-f]{64}"
_ACCOUNT: Final = re.compile(r"account ([A-Za-z0-9_-]{1,24})")
_MODE: Final = re.compile(r"mode (live|paper)")
_ENDPOINT: Final = re.compile(r"endpoint (tcp://127\.0\.0\.1:[1-9][0-9]{0,4})")
_SERVER: Final = re.compile(rf"server_public ({_Z85})")
_PUBLIC: Final = re.compile(rf"curve_public ({_Z85})")
_SECRET: Final = re.compile(rf"curve_secret ({_Z85})")
_EVENT: Final = re.compile(rf"event ({_KID}) ({_HEX})")
_SET: Final = re.compile(rf"set ({_KID}) (trade|reduce|query|operator) (-|{_HEX}) (-|{_HEX})")


class EaKeyError(Exception):
    """The key file is malformed: the line's number (from 1) and why, never what the line holds."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"bridge.key line {line}: {why}: make the file again with `ztb init`")
        self.line = line


class EaSet(Struct, frozen=True, kw_only=True):
    """One key set as the EA holds it; `order` is order>ea, or admin>ea of an operator."""

    kid: str
    scope: Scope
    order: bytes | None
    reply: bytes | None

    def __repr__(self) -> str:
        """Name the set, never its keys."""
        return f"<EaSet {self.kid} {self.scope}>"


class EaKeys(Struct, frozen=True, kw_only=True):
    """Everything the EA holds of an account."""

    acct: str
    mode: Mode
    endpoint: str
    server_public: bytes
    curve: CurveKeys
    event_kid: str
    event_key: bytes
    sets: dict[str, EaSet]

    def __repr__(self) -> str:
        """Name the account, never the keys."""
        return f"<EaKeys {self.acct} {self.mode} {len(self.sets)} sets>"


def read_ea_keys(path: Path) -> EaKeys:
    """Return what a key file holds.

    Raises:
        EaKeyError: it is malformed.
        OSError: it cannot be read.
    """
    return parse_ea_keys(path.read_bytes())


class _Lines:
    """The lines of a file, taken one after the other."""

    def __init__(self, raw: bytes) -> None:
        try:
            text = raw.decode("ascii")
        except UnicodeDecodeError:
            raise EaKeyError(1, "a byte that is not ASCII") from None
        self._lines = text.replace("\r\n", "\n").split("\n")
        if self._lines[-1] == "":
            del self._lines[-1]
        self.number = 0

    def next(self) -> str:
        self.number += 1
        if self.number > len(self._lines):
            raise EaKeyError(self.number, "the file ends before its `end`")
        return self._lines[self.number - 1]

    def take(self, shape: re.Pattern[str]) -> tuple[str, ...]:
        found = shape.fullmatch(self.next())
        if found is None:
            raise EaKeyError(self.number, f"not `{shape.pattern.split(' ', 1)[0]} …`")
        return found.groups()

    def key(self, text: str) -> bytes | None:
        if text == NO_KEY:
            return None
        raw = bytes.fromhex(text)
        if len(set(raw)) == 1:
            raise EaKeyError(self.number, "a weak key")
        return Secret(raw)

    def done(self) -> None:
        if self.number != len(self._lines):
            raise EaKeyError(self.number + 1, "something after `end`")


def parse_ea_keys(raw: bytes) -> EaKeys:
    """Return what the bytes of a key file hold.

    Raises:
        EaKeyError: they are malformed.
    """
    lines = _Lines(raw)
    if lines.next() != "ztb-ea/1":
        raise EaKeyError(1, "not `ztb-ea/1`")
    (acct,) = lines.take(_ACCOUNT)
    mode = Mode(lines.take(_MODE)[0])
    (endpoint,) = lines.take(_ENDPOINT)
    if int(endpoint.rpartition(":")[2]) > 65_535:
        raise EaKeyError(lines.number, "no such port")
    curve = [lines.take(shape)[0].encode("ascii") for shape in (_SERVER, _PUBLIC, _SECRET)]
    event_kid, event_text = lines.take(_EVENT)
    event_key = lines.key(event_text)
    assert event_key is not None
    sets: dict[str, EaSet] = {}
    while (line := lines.next()) != "end":
        one = _set_of(line, lines, mode)
        if one.kid in sets or one.kid == event_kid:
            raise EaKeyError(lines.number, f"key id {one.kid} is given twice")
        if len(sets) == SETS_MAX:
            raise EaKeyError(lines.number, f"more than {SETS_MAX} sets")
        sets[one.kid] = one
    lines.done()
    return EaKeys(
        acct=acct,
        mode=mode,
        endpoint=endpoint,
        server_public=curve[0],
        curve=CurveKeys(curve[1], curve[2]),
        event_kid=event_kid,
        event_key=event_key,
        sets=sets,
    )


def _set_of(line: str, lines: _Lines, mode: Mode) -> EaSet:
    found = _SET.fullmatch(line)
    if found is None:
        raise EaKeyError(lines.number, "neither `set …` nor `end`")
    kid, scope, order, reply = found.groups()
    has_order = mode is Mode.LIVE and scope != Scope.QUERY
    if (order != NO_KEY) is not has_order or (reply != NO_KEY) is not (mode is Mode.LIVE):
        raise EaKeyError(lines.number, f"a {scope} set in {mode} mode does not hold such keys")
    return EaSet(kid=kid, scope=Scope(scope), order=lines.key(order), reply=lines.key(reply))


def ea_key_text(keys: EaKeys) -> str:
    """Return the file of these keys: the reader's counterpart, for tests of the reader."""

    def text(key: bytes | None) -> str:
        return NO_KEY if key is None else key.hex()

    return "\n".join(
        [
            "ztb-ea/1",
            f"account {keys.acct}",
            f"mode {keys.mode}",
            f"endpoint {keys.endpoint}",
            f"server_public {keys.server_public.decode('ascii')}",
            f"curve_public {keys.curve.public.decode('ascii')}",
            f"curve_secret {keys.curve.secret.decode('ascii')}",
            f"event {keys.event_kid} {text(keys.event_key)}",
            *(
                f"set {one.kid} {one.scope} {text(one.order)} {text(one.reply)}"
                for one in keys.sets.values()
            ),
            "end\n",
        ]
    )


def ea_keys_of(
    bundles: Iterable[Bundle], curve: CurveKeys, endpoint: str, mode: Mode = Mode.LIVE
) -> EaKeys:
    """Return what the EA holds of these bundles (made with `ea` true) in live or paper mode."""
    bundles = list(bundles)
    held: dict[str, EaSet] = {}
    for bundle in bundles:
        keys = bundle.key_set().keys
        signs = Purpose.ADMIN_EA if bundle.scope is Scope.OPERATOR else Purpose.ORDER_EA
        held[bundle.kid] = EaSet(
            kid=bundle.kid,
            scope=bundle.scope,
            order=keys.get(signs) if mode is Mode.LIVE else None,
            reply=keys[Purpose.REPLY_EA] if mode is Mode.LIVE else None,
        )
    first = bundles[0]
    return EaKeys(
        acct=first.acct,
        mode=mode,
        endpoint=endpoint,
        server_public=first.server_public.encode("ascii"),
        curve=curve,
        event_kid=first.event_kid,
        event_key=first.event_keys()[Purpose.EVENT_EA],
        sets=held,
    )
