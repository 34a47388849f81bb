"""Every secret of an account in every form in which it could slip out, and where to look for it."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from zmq.utils import z85

from bridge_core.protocol.keys import derive
from bridge_core.protocol.operations import Purpose

__all__ = ["forms", "hits", "secrets_of"]

_HEX_FIELDS: Final = ("root", "event_srv", "event_ea")
_Z85_FIELDS: Final = ("curve_secret",)


def _in_file(path: Path) -> Iterator[bytes]:
    held = json.loads(path.read_text("utf-8"))
    for name in _HEX_FIELDS:
        if held.get(name):
            yield bytes.fromhex(held[name])
    for name in _Z85_FIELDS:
        if held.get(name):
            yield z85.decode(held[name])
    for text in held.get("keys", {}).values():
        yield bytes.fromhex(text)
    if "root" in held:
        for purpose in Purpose:
            yield derive(
                bytes.fromhex(held["root"]), mode=held["mode"], acct=held["acct"],
                kid=held["kid"], purpose=purpose,
            )  # fmt: skip


def secrets_of(folder: Path) -> set[bytes]:
    """Return every key that any side of this account holds or can derive, as 32 bytes."""
    return {key for path in folder.rglob("*.key") for key in _in_file(path)}


def forms(secret: bytes) -> set[bytes]:
    """Return a key raw, in hex, base64, Z85 and percent form, and as Python shows bytes."""
    shown = {
        secret.hex(), secret.hex().upper(), repr(secret)[2:-1],
        base64.b64encode(secret).decode().rstrip("="),
        base64.urlsafe_b64encode(secret).decode().rstrip("="),
        urllib.parse.quote(secret), z85.encode(secret).decode(),
    }  # fmt: skip
    return {secret, *(text.encode("ascii") for text in shown)}


def hits(secrets: Iterable[bytes], places: Iterable[tuple[str, bytes]]) -> list[str]:
    """Return the names of the places in which any form of any secret was found."""
    wanted = [form for secret in secrets for form in forms(secret)]
    return [name for name, data in places if any(form in data for form in wanted)]
