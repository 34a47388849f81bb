"""Logs: one line per record, UTC milliseconds, `event key=value`; bounded, escaped, redacted.

A peer can put anything into a field: it can neither start a new line, nor colour a terminal, nor
fill the disk, and no registered secret passes.
"""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import logging.handlers
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, TextIO

from bridge_core.protocol.errors import BridgeError, ConfigError
from bridge_core.protocol.limits import LOG_LINE_CHARS_MAX

__all__ = ["RateLimited", "log_event", "redact", "register_secret", "setup_logging"]

_FILE_BYTES_MAX: Final = 5 * 1024 * 1024
_FILES_KEPT: Final = 5
_VALUE_CHARS_MAX: Final = 200
_EVENT_CHARS_MAX: Final = 64
# What is looked at of a huge value: even if all of it were secrets, the cut never splits one
# that would still be shown (a redaction makes text at most eight times shorter).
_LOOK_CHARS_MAX: Final = 4_096
_SECRET_BYTES_MIN: Final = 4
_REDACTED: Final = "[secret]"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/@+,-]+")
_NAME: Final = re.compile(r"[^A-Za-z0-9_.]")
_FIELDS: Final = "ztb_fields"
# base64.z85encode is 3.13's; the two alphabets differ only in their letters.
_B85: Final = (
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
)
_Z85: Final = (
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
)
_TO_Z85: Final = bytes.maketrans(_B85, _Z85)


# --- redaction -----------------------------------------------------------------------------


class _Secrets:
    """The forms of every registered secret, as one expression."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, secret: bytes) -> None:
        forms = _forms(secret)
        with self._lock:
            if not forms <= self._forms:
                self._forms |= forms
                self._pattern = None  # compiled when next needed: a start registers many

    def _compile(self) -> re.Pattern[str] | None:
        with self._lock:
            if self._pattern is None and self._forms:
                longest_first = sorted(self._forms, key=lambda form: (-len(form), form))
                self._pattern = re.compile("|".join(map(re.escape, longest_first)))
            return self._pattern

    def redact(self, text: str) -> str:
        pattern = self._pattern or self._compile()
        return text if pattern is None else pattern.sub(_REDACTED, text)


def _forms(secret: bytes) -> set[str]:
    forms = {
        secret.decode("latin-1"),
        secret.decode("utf-8", "backslashreplace"),
        repr(secret)[2:-1],
        secret.hex(),
        secret.hex().upper(),
        base64.b64encode(secret).decode("ascii").rstrip("="),
        base64.urlsafe_b64encode(secret).decode("ascii").rstrip("="),
    }
    if len(secret) % 4 == 0:
        forms.add(base64.b85encode(secret).translate(_TO_Z85).decode("ascii"))
    return forms


_secrets = _Secrets()


def register_secret(secret: bytes) -> None:
    """Keep this secret out of every line from now on: raw, hex, base64 and Z85 forms.

    Fewer than 4 bytes are ignored: replacing them would hide half of every line.
    """
    if len(secret) >= _SECRET_BYTES_MIN:
        _secrets.add(bytes(secret))  # a Secret's own repr says nothing


def redact(text: str) -> str:
    """Return `text` with every registered secret replaced."""
    return _secrets.redact(text)


# --- one line ------------------------------------------------------------------------------


def _escape(character: str) -> str:
    code = ord(character)
    if character in {'"', "\\"}:
        return "\\" + character
    if 0x20 <= code < 0x7F:
        return character
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _text(value: object) -> str:
    """Return a value as text; a broken `__str__` must not cost us the line."""
    if isinstance(value, bytes | bytearray):
        return bytes(value[:_LOOK_CHARS_MAX]).decode("latin-1")
    if isinstance(value, BaseException):
        return value.code if isinstance(value, BridgeError) else type(value).__name__
    try:
        return str(value)[:_LOOK_CHARS_MAX]
    except Exception:  # noqa: BLE001  # whatever it raises, the event itself is worth logging
        return f"<{type(value).__name__}>"


def _quoted(value: object, chars_max: int = _VALUE_CHARS_MAX) -> str:
    """Return a value as one word or as quoted text, at most about `chars_max` characters."""
    text = redact(_text(value))
    if len(text) <= chars_max and _PLAIN.fullmatch(text):
        return text
    parts: list[str] = []
    room = chars_max - 2
    for character in text[: room + 1]:
        escaped = _escape(character)
        if len(escaped) > room:
            return '"' + "".join(parts) + '"...'
        room -= len(escaped)
        parts.append(escaped)
    return '"' + "".join(parts) + '"'


def _trace(trace: TracebackType | None) -> str:
    """Return `file:line:function` of each frame, innermost first; no locals, no source text."""
    frames = traceback.StackSummary.extract(traceback.walk_tb(trace), lookup_lines=False)
    places = [f"{Path(frame.filename).name}:{frame.lineno}:{frame.name}" for frame in frames]
    return " < ".join(reversed(places))


class _LineFormatter(logging.Formatter):
    """Turns a record into one bounded ASCII line."""

    def __init__(self, *, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC)
        fields = getattr(record, _FIELDS, None)
        if isinstance(fields, dict):
            event = _NAME.sub("_", redact(record.getMessage()))[:_EVENT_CHARS_MAX] or "_"
        else:  # a record of somebody who does not use log_event
            event, fields = "message", {"text": record.getMessage()}
        stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
        return self._join(f"{stamp} {record.levelname} {event}", record, fields)

    def _join(self, line: str, record: logging.LogRecord, fields: dict[str, object]) -> str:
        cut = 0
        for word in self._words(record, fields):
            if len(line) + 1 + len(word) > LOG_LINE_CHARS_MAX - len(" cut=9999"):
                cut += 1
            else:
                line = f"{line} {word}"
        return f"{line} cut={min(cut, 9999)}" if cut else line

    def _words(self, record: logging.LogRecord, fields: dict[str, object]) -> Iterator[str]:
        for name, value in fields.items():
            yield f"{_NAME.sub('_', redact(str(name)))[:_EVENT_CHARS_MAX]}={_quoted(value)}"
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            yield f"error={type(error).__name__}"
            if isinstance(error, BridgeError):
                yield f"code={_quoted(error.code)}"
            if self._debug:
                yield f"trace={_quoted(_trace(record.exc_info[2]))}"


def log_event(logger: logging.Logger, level: int | str, event: str, **fields: object) -> None:
    """Log one event at a level (`logging.INFO` or `"info"`).

    Inside an `except` block its exception's type and code are added.
    """
    number = logging.getLevelNamesMapping()[level.upper()] if isinstance(level, str) else level
    if logger.isEnabledFor(number):
        active = sys.exc_info()[1] is not None
        logger.log(number, "%s", event, exc_info=active, extra={_FIELDS: fields})


# --- handlers ------------------------------------------------------------------------------


class _QuietErrors(logging.Handler):
    """A full disk or a closed terminal must neither stop a trade nor print raw arguments."""

    lost = 0

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Count the lost record."""
        del record
        self.lost += 1


class _StderrHandler(_QuietErrors, logging.StreamHandler[TextIO]):
    """Writes to standard error."""


class _FileHandler(_QuietErrors, logging.handlers.RotatingFileHandler):
    """Writes to a rotated file that only its owner can read.

    On Windows a file that somebody reads cannot be renamed: it then grows on, and is rotated
    after as much again. Trying at each line would lose the line and shift the older files away.
    """

    _grown = 0

    def shouldRollover(self, record: logging.LogRecord) -> int:  # noqa: N802  # logging's name
        """Say whether the file is full, or as full as the last try in vain left it, twice."""
        if self._grown and self.stream is not None:
            return int(self.stream.tell() > self._grown + self.maxBytes)
        return int(super().shouldRollover(record))

    def doRollover(self) -> None:  # noqa: N802  # logging's name
        """Rotate, if the file may be renamed."""
        if self.stream is not None:
            self._grown = self.stream.tell()
            self.stream.close()
            self.stream = None
        file = Path(self.baseFilename)
        try:
            file.rename(f"{file}.aside").rename(file)
            super().doRollover()
        except PermissionError:
            return
        self._grown = 0

    def _open(self) -> io.TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        raw = io.FileIO(os.open(self.baseFilename, flags, 0o600), "ab")
        return io.TextIOWrapper(io.BufferedWriter(raw), "ascii", newline="\n")


def setup_logging(name: str, *, file: Path | None, debug: bool) -> logging.Logger:
    """Return the logger `name`, writing to stderr and, if given, to a file (5 MiB, 5 kept).

    May be called again; the root logger is left alone. With `debug` also DEBUG records and
    the places (never the values) of a traceback.

    Raises:
        ConfigError: LOG_FILE; the file cannot be opened.
    """
    logger = logging.getLogger(name)
    for old in list(logger.handlers):
        logger.removeHandler(old)
        with contextlib.suppress(OSError):  # an old file on a full disk may fail to flush
            old.close()
    handlers: list[logging.Handler] = [_StderrHandler(sys.stderr)]
    if file is not None:
        handlers.append(_file_handler(file))
    for handler in handlers:
        handler.setFormatter(_LineFormatter(debug=debug))
        logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if debug else logging.INFO)
    logger.propagate = False
    return logger


def _file_handler(file: Path) -> logging.Handler:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _FileHandler(
            file, maxBytes=_FILE_BYTES_MAX, backupCount=_FILES_KEPT, encoding="ascii"
        )
    except OSError as error:
        raise ConfigError(
            "LOG_FILE",
            f"the log file {file} cannot be opened ({error.strerror}): check its folder and "
            f"permissions",
        ) from None


class RateLimited:
    """One line per key and period; a peer that invents keys gets one line for all of them."""

    def __init__(self, period_ms: int = 1_000, keys_max: int = 256) -> None:
        self._period_ms = period_ms
        self._keys_max = keys_max
        # key -> (when a line was last allowed, how many were suppressed since)
        self._seen: dict[str, tuple[int, int]] = {}
        self._overflow: tuple[int, int] | None = None

    def allow(self, key: str, now_ms: int) -> int | None:
        """Return how many were suppressed since the last line, or None to stay silent.

        `now_ms` is monotonic.
        """
        if key not in self._seen and len(self._seen) >= self._keys_max:
            self._prune(now_ms)
        if key not in self._seen and len(self._seen) >= self._keys_max:
            answer, self._overflow = self._judge(self._overflow, now_ms)
            return answer
        answer, self._seen[key] = self._judge(self._seen.get(key), now_ms)
        return answer

    def _judge(
        self, entry: tuple[int, int] | None, now_ms: int
    ) -> tuple[int | None, tuple[int, int]]:
        if entry is None:
            return 0, (now_ms, 0)
        since, suppressed = entry
        if now_ms - since >= self._period_ms:
            return suppressed, (now_ms, 0)
        return None, (since, suppressed + 1)

    def _prune(self, now_ms: int) -> None:
        """Forget keys whose period is over; what they suppressed is told by the overflow's line."""
        kept: dict[str, tuple[int, int]] = {}
        lost = 0
        for key, (since, suppressed) in self._seen.items():
            if now_ms - since < self._period_ms:
                kept[key] = (since, suppressed)
            else:
                lost += suppressed
        self._seen = kept
        if lost:
            since, suppressed = self._overflow or (now_ms - self._period_ms, 0)
            self._overflow = (since, suppressed + lost)
