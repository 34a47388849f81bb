"""Every secret of a test run is a canary: found anywhere but in a key file, it has leaked.

A secret is looked for in pieces of eight bytes, in every form that text or bytes can give it, so a
shortened or embedded copy is found as well. Findings name place and form, never the secret.
"""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote_from_bytes

import numpy as np

from bridge_core.host.bundles import Bundle, EventRoot
from bridge_core.protocol.keys import Mode, derive
from bridge_core.protocol.operations import Purpose

__all__ = ["Hit", "Needles", "Tally", "forms", "keys_in", "may_hold_secrets", "scan_files"]

PIECE: Final = 8
_CHUNK: Final = 1 << 20  # what numpy makes of it stays in the processor's cache
_LONGEST: Final = 64  # no form of a piece is longer
_ZEROS: Final = bytes(_CHUNK + _LONGEST)
_HASH_BITS_MAX: Final = 23
_SPARSE_BITS: Final = 4  # one place in sixteen is taken: what looks likely mostly is
_HASH_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
_Z85_TEXT: Final = re.compile(r"\A[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}\Z")
_HEX_TEXT: Final = re.compile(r"\A[0-9a-f]{64}\Z")
_LETTERS: Final = string.ascii_lowercase + string.ascii_uppercase
_Z85: Final = string.digits + _LETTERS + ".-:+=^!/*?&<>()[]{}@%$#"
_HEX_WORD: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_SHORT: Final = 40  # shorter texts are passwords
_PASSWORD: Final = re.compile(
    r"(?m)^\s*(?:export\s+)?\w*(?:PASSWORD|ALERT_KEY)\w*\s*=\s*['\"]?([^'\"\s]{8,})"
)
# The token of a bot or a hook, in the path of an alert's address.
_TOKEN: Final = re.compile(r"(?m)^\s*ALERT_URL\s*=\s*\w+://[^/\s]+/(\S+)")


class Hit(NamedTuple):
    """Where a secret lies. `where` is a file, and inside what was captured the test's name."""

    where: str
    offset: int
    form: str

    def __str__(self) -> str:
        """Say it in one line without the secret."""
        return f"{self.where}: a secret as {self.form} at byte {self.offset}"


class Tally(NamedTuple):
    """One scan."""

    secrets: int
    files: int
    size: int
    hits: list[Hit]

    def __str__(self) -> str:
        """The line of the terminal summary."""
        return (
            f"canary: {self.secrets} secrets, {self.files} files, {self.size / 1e6:.1f} MB, "
            f"{len(self.hits)} hits"
        )


# --- the forms of a piece -------------------------------------------------------------------


def _base64(piece: bytes) -> Iterator[tuple[str, bytes]]:
    # The characters that depend on nothing but the piece, wherever in a text it begins.
    for shift in range(3):
        first, last = -(-8 * shift // 6), 8 * (shift + len(piece)) // 6
        coded = base64.b64encode(bytes(shift) + piece)[first:last]
        yield f"base64 at {shift}", coded
        yield f"base64url at {shift}", coded.translate(bytes.maketrans(b"+/", b"-_"))


def forms(piece: bytes) -> dict[bytes, str]:
    """Return each way to write some bytes, with its name."""
    percent = "".join(f"%{byte:02X}" for byte in piece)
    quoted = quote_from_bytes(piece, safe="")
    escaped = "".join(f"\\x{byte:02x}" for byte in piece)
    points = "".join(f"\\u{byte:04x}" for byte in piece)
    found = {
        "raw bytes": piece,
        "hex": piece.hex().encode(),
        "HEX": piece.hex().upper().encode(),
        **dict(_base64(piece)),
        "percent": percent.encode(),
        "percent, lower case": percent.lower().encode(),
        "percent where needed": quoted.encode(),
        "percent where needed, lower case": re.sub("%..", lambda m: m[0].lower(), quoted).encode(),
        "escapes": escaped.encode(),
        "ESCAPES": escaped.replace("x", "X").upper().replace("X", "x").encode(),
        "repr": repr(piece)[2:-1].encode(),
        "doubled repr": repr(piece)[2:-1].replace("\\", "\\\\").encode(),
        "code points": points.encode(),
        "JSON": json.dumps(piece.decode("latin-1"))[1:-1].encode(),
        "latin-1 as UTF-8": piece.decode("latin-1").encode("utf-8"),
        "numbers": ", ".join(map(str, piece)).encode(),
        "numbers without spaces": ",".join(map(str, piece)).encode(),
    }
    return {text: name for name, text in reversed(found.items())}


def _pieces(secret: bytes) -> Iterator[bytes]:
    for at in range(0, len(secret) - PIECE + 1, PIECE):
        yield secret[at : at + PIECE]
    if len(secret) % PIECE:
        yield secret[-PIECE:]


# --- many needles, one pass -----------------------------------------------------------------


class Needles:
    """Every form of every secret, found in one pass by the first eight bytes of each."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._by_start: dict[int, list[tuple[bytes, str]]] = {}
        pieces = {piece for secret in secrets for piece in _pieces(secret)}
        for piece in pieces:
            for text, name in forms(piece).items():
                start = int.from_bytes(text[:8], "little")
                self._by_start.setdefault(start, []).append((text, name))
        starts = np.array(sorted(self._by_start), dtype=np.uint64)
        self._starts = starts
        # A table that stays in the processor's cache is several times faster.
        self._bits = min(_HASH_BITS_MAX, len(starts).bit_length() + _SPARSE_BITS)
        self._maybe = np.zeros(1 << self._bits, dtype=bool)
        self._maybe[self._hash(starts)] = True

    def _hash(self, words: Any) -> Any:
        return (words * _HASH_FACTOR) >> np.uint64(64 - self._bits)

    def find(self, data: bytes) -> list[tuple[int, str]]:
        """Return (offset, form) of every piece of a secret in the data."""
        found: list[tuple[int, str]] = []
        if not self._starts.size:
            return found
        for shift in range(min(8, max(0, len(data) - 7))):
            words = np.frombuffer(data, "<u8", (len(data) - shift) // 8, shift)
            likely = np.flatnonzero(self._maybe[self._hash(words)])
            near = np.searchsorted(self._starts, words[likely])
            near[near == self._starts.size] = 0
            for at in likely[self._starts[near] == words[likely]].tolist():
                offset = 8 * at + shift
                for text, name in self._by_start[int(words[at])]:
                    if data.startswith(text, offset):
                        found.append((offset, name))
        return sorted(found)


def _chunks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield a file's bytes in overlapping pieces; what holds nothing but zeros is left out."""
    with path.open("rb") as file:
        begin, kept = 0, b""
        while chunk := file.read(_CHUNK):
            data = kept + chunk
            if data != _ZEROS[: len(data)]:
                yield begin, data
            kept = data[-_LONGEST:]
            begin += len(data) - len(kept)


def may_hold_secrets(path: Path) -> bool:
    """Return whether a file is one of those that exist to hold secrets."""
    return path.suffix == ".key" or _is_env(path)


def _is_env(path: Path) -> bool:
    return path.name == ".env" or path.suffix == ".env"


def scan_files(secrets: Iterable[bytes], paths: Iterable[Path]) -> Tally:
    """Look into every file but the key files."""
    # A placeholder such as forty times one letter is nobody's secret.
    known = frozenset(one for one in secrets if len(one) >= PIECE and len(set(one)) > 4)
    needles = Needles(known)
    files = size = 0
    hits: set[Hit] = set()
    reserves: set[bytes] = set()
    for path in paths:
        if may_hold_secrets(path) or path.is_symlink() or not path.is_file():
            continue
        if path.name == "reserve" and _is_copy(path, reserves):
            continue
        files += 1
        size += path.stat().st_size
        for begin, data in _chunks(path):
            for offset, name in needles.find(data):
                hits.add(Hit(_where(path, data, offset), begin + offset, name))
    return Tally(len(known), files, size, _first_ones(hits))


def _first_ones(hits: Iterable[Hit]) -> list[Hit]:
    # One line for each place and form is enough to find the leak.
    first: dict[tuple[str, str], Hit] = {}
    for hit in sorted(hits):
        first.setdefault((hit.where, hit.form), hit)
    return list(first.values())


def _is_copy(path: Path, seen: set[bytes]) -> bool:
    # The journal's reserve is 8 MiB of random bytes, copied from one template to every account.
    with path.open("rb") as file:
        head = file.read(4096)
        file.seek(-min(4096, path.stat().st_size), 2)
        ends = head + file.read()
    if ends in seen:
        return True
    seen.add(ends)
    return False


# What the plugin writes before each captured text.
_HEADER: Final = re.compile(rb"(?m)^== canary: (.*) ==$")


def _where(path: Path, data: bytes, offset: int) -> str:
    if path.name != "captured":
        return str(path)
    names = _HEADER.findall(data, 0, offset)
    return f"{path} ({names[-1].decode('utf-8', 'replace')})" if names else str(path)


# --- what the key files hold ----------------------------------------------------------------


def _z85_bytes(text: str) -> bytes:
    raw = b""
    for at in range(0, len(text), 5):
        number = 0
        for letter in text[at : at + 5]:
            number = number * 85 + _Z85.index(letter)
        raw += (number % (1 << 32)).to_bytes(4, "big")
    return raw


def _texts(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, str(key))
    elif isinstance(value, str):
        yield name, value


def both_forms(text: str) -> set[bytes]:
    """Return a CURVE secret as its text and as the bytes the text stands for."""
    return {text.encode("ascii"), _z85_bytes(text)}


def published(secrets: Iterable[bytes], folder: Path) -> set[bytes]:
    """Return those that stand in the tests' own source or vectors: they are nobody's secret."""
    files = [*folder.rglob("*.py"), *folder.rglob("*.json")]
    text = "\n".join(file.read_text("utf-8") for file in files)
    keys = {bytes.fromhex(word) for word in _HEX_WORD.findall(text)}
    return {
        one
        for one in secrets
        if one in keys or (len(one) < _SHORT and one.isascii() and one.decode() in text)
    }


def keys_in(path: Path) -> set[bytes]:
    """Return what a key file keeps secret, with every key its root gives; a .env's passwords."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return set()
    if _is_env(path):
        tokens = [one for found in _TOKEN.findall(text) for one in re.split("[/?=&]", found)]
        words = {one for one in tokens if len(one) >= PIECE and any(map(str.isdigit, one))}
        return {word.encode() for word in {*_PASSWORD.findall(text), *words}}
    if text.startswith("ztb-ea/1"):
        return _in_ea_file(text)
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return set()
    found: set[bytes] = set()
    for name, value in _texts(held):
        if _HEX_TEXT.match(value):
            found.add(bytes.fromhex(value))
        elif "secret" in name and _Z85_TEXT.match(value):
            found |= both_forms(value)
    return found | _derived(held)


def _in_ea_file(text: str) -> set[bytes]:
    """Return the EA's keys; read by no parser of ours, which a test may just have broken."""
    found = {bytes.fromhex(word) for word in _HEX_WORD.findall(text)}
    for secret in re.findall(r"(?m)^curve_secret (\S{40})\r?$", text):
        if _Z85_TEXT.match(secret):  # else a test has spoilt it
            found |= both_forms(secret)
    return found


def _derived(held: object) -> set[bytes]:
    if not isinstance(held, dict) or not _HEX_TEXT.match(str(held.get("root", ""))):
        return set()
    if held.get("kind") not in (Bundle.__struct_defaults__[0], EventRoot.__struct_defaults__[0]):
        return set()
    try:
        root, mode = bytes.fromhex(held["root"]), Mode(held["mode"])
        return {
            derive(root, mode=mode, acct=held["acct"], kid=held["kid"], purpose=purpose)
            for purpose in Purpose
        }
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        return set()  # a test has spoilt this file; nothing can be derived from it
