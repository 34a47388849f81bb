"""`[alerts]` of server.toml and connector.toml, and the owner-only file with its secrets.

The address may hold a token (Telegram's and Slack's do) and the key signs: both stand in `.env`
form in a file of their own, and neither is in any error, log line or repr.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from bridge_core.host.logs import register_secret
from bridge_core.host.settings import load_env
from bridge_core.protocol.alerts import Severity
from bridge_core.protocol.errors import ConfigError
from bridge_core.protocol.keys import Secret

__all__ = ["AlertSettings", "Destination", "Format", "load_destination"]

ENV_NAMES: Final = ("ALERT_URL", "ALERT_KEY", "ALERT_CHAT")
_KEY_CHARS_MIN: Final = 32
_KEY_CHARS_MAX: Final = 256
_URL_CHARS_MAX: Final = 2_048
_CHAT: Final = re.compile(r"\A(-?[0-9]{1,20}|@[A-Za-z0-9_]{5,32})\Z")
_URL: Final = re.compile(r"\A[!-~]+\Z")
# Pieces of an address that are a secret by themselves, as opposed to `services` or `sendMessage`.
_PIECE: Final = re.compile(r"(?=[^/?&=]*[0-9])[^/?&=]{8,}|[^/?&=]{20,}")
_PORTS: Final = {"https": 443, "http": 80}


class Format(StrEnum):
    """What the receiver reads."""

    JSON = "json"
    TELEGRAM = "telegram"
    SLACK = "slack"


class AlertSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[alerts]: where alerts go besides log and events. `env` is relative to the file."""

    format: Format
    env: Annotated[str, Meta(min_length=1)] = "alerts.env"
    min_severity: Severity = Severity.WARNING


class Destination(Struct, frozen=True, kw_only=True):
    """One receiver. `target` is path and query; the key is empty where nobody checks it."""

    format: Format
    min_severity: Severity
    tls: bool
    host: str
    port: int
    target: Secret
    key: Secret
    chat: str = ""

    def __repr__(self) -> str:
        """Name the host only."""
        return f"<Destination {self.where}>"

    @property
    def where(self) -> str:
        """Return scheme, host and port: as much as may be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def load_destination(settings: AlertSettings, base: Path) -> Destination:
    """Return where the alerts of these settings go; `base` is the configuration's folder.

    Raises:
        ConfigError: as `load_env`; or a value that is missing or cannot be one. Names the line.
    """
    file = base / settings.env
    found = _destination(settings, file)
    if isinstance(found, str):
        raise ConfigError("CONFIG", f"{file}: {found}")
    return found


def _destination(settings: AlertSettings, file: Path) -> Destination | str:
    # A problem is returned and not raised: no frame of a traceback may hold what the file holds.
    values = {name: Secret(text.encode("utf-8")) for name, text in _read(file).items()}
    url, key = values.get("ALERT_URL", Secret()), values.get("ALERT_KEY", Secret())
    register_secret(key)
    chat = bytes(values.get("ALERT_CHAT", Secret())).decode("utf-8")
    problem = _url_problem(url) or _key_problem(settings, key) or _chat_problem(settings, chat)
    if problem:
        return problem
    parts = urlsplit(bytes(url).decode("ascii"))
    query = f"?{parts.query}" if parts.query else ""
    target = Secret(f"{parts.path or '/'}{query}".encode("ascii"))
    if len(target) > 1:
        register_secret(url)
        register_secret(target)
    for piece in _PIECE.findall(bytes(target).decode("ascii")):
        register_secret(piece.encode("ascii"))
    return Destination(
        format=settings.format, min_severity=settings.min_severity, tls=parts.scheme == "https",
        host=parts.hostname or "", port=parts.port or _PORTS[parts.scheme], target=target, key=key,
        chat=chat,
    )  # fmt: skip


def _read(file: Path) -> dict[str, str]:
    return load_env(file, ENV_NAMES)


def _url_problem(url: Secret) -> str:
    if not url:
        return "ALERT_URL is missing; add the line ALERT_URL=https://…"
    text = bytes(url).decode("utf-8")
    if len(text) > _URL_CHARS_MAX or not _URL.match(text):
        return "ALERT_URL is not one address of plain characters; mend that line"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return "ALERT_URL is no address; mend that line"
    if parts.scheme not in _PORTS or not parts.hostname or port == 0 or parts.fragment:
        return "ALERT_URL must be https://HOST/PATH; mend that line"
    if parts.username is not None or parts.password is not None:
        return "ALERT_URL names a user before the host; take that out (ALERT_KEY signs instead)"
    if parts.scheme == "http" and not _loopback(parts.hostname):
        return "ALERT_URL is http, which anybody on the way can read and change; use https"
    return ""


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key_problem(settings: AlertSettings, key: Secret) -> str:
    if not key and settings.format is Format.JSON:
        return "ALERT_KEY is missing; add the line ALERT_KEY=…, from `openssl rand -hex 32`"
    if key and not _KEY_CHARS_MIN <= len(key) <= _KEY_CHARS_MAX:
        return (
            f"ALERT_KEY must have {_KEY_CHARS_MIN} to {_KEY_CHARS_MAX} characters; "
            "take what `openssl rand -hex 32` says"
        )
    return ""


def _chat_problem(settings: AlertSettings, chat: str) -> str:
    if settings.format is not Format.TELEGRAM:
        return "ALERT_CHAT is for telegram; remove that line" if chat else ""
    if not _CHAT.match(chat):
        return "ALERT_CHAT is missing or no chat: a number such as -1001234567890, or @channel"
    return ""
