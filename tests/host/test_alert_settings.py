"""[alerts] and its file: a wrong line stops the start, is named, and shows nothing of itself."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import pytest

from bridge_core.host.alert_settings import AlertSettings, Format, load_destination
from bridge_core.host.logs import redact
from bridge_core.protocol.errors import ConfigError

KEY = "0123456789abcdef0123456789abcdef"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX file modes")


def _write(folder: Path, text: str) -> Path:
    file = folder / "alerts.env"
    file.touch(mode=0o600)
    file.write_text(text, "utf-8")
    return file


def _problem(folder: Path, text: str, format_: Format = Format.JSON) -> str:
    _write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_destination(AlertSettings(format=format_), folder)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    for frame in told.stack:
        for name, shown in (frame.locals or {}).items():
            if "bridge_core" in frame.filename:
                assert "s3cret" not in shown, f"{frame.name}: {name}"
    assert "s3cret" not in str(caught.value)
    assert str(folder / "alerts.env") in caught.value.detail
    return caught.value.detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"ALERT_KEY={KEY}\n", "ALERT_URL is missing"),
        ("ALERT_URL=https://a.example/s3cret\n", "ALERT_KEY is missing"),
        ("ALERT_URL=https://a.example/s3cret\nALERT_KEY=s3cret\n", "32 to 256"),
        (f"ALERT_URL=http://a.example/s3cret\nALERT_KEY={KEY}\n", "use https"),
        (f"ALERT_URL=http://10.0.0.1/s3cret\nALERT_KEY={KEY}\n", "use https"),
        (f"ALERT_URL=http://127.0.0.1.example/s3cret\nALERT_KEY={KEY}\n", "use https"),
        (f"ALERT_URL=ftp://a.example/s3cret\nALERT_KEY={KEY}\n", "https://HOST/PATH"),
        (f"ALERT_URL=a.example/s3cret\nALERT_KEY={KEY}\n", "https://HOST/PATH"),
        (f"ALERT_URL=https:///s3cret\nALERT_KEY={KEY}\n", "https://HOST/PATH"),
        (f"ALERT_URL=https://a.example:0/s3cret\nALERT_KEY={KEY}\n", "https://HOST/PATH"),
        (f"ALERT_URL=https://a.example/s3cret#x\nALERT_KEY={KEY}\n", "https://HOST/PATH"),
        (f"ALERT_URL=https://a.example:99999/s3cret\nALERT_KEY={KEY}\n", "no address"),
        (f"ALERT_URL=https://[::1/s3cret\nALERT_KEY={KEY}\n", "no address"),
        (f"ALERT_URL=https://bob:s3cret@a.example/\nALERT_KEY={KEY}\n", "a user before the host"),
        (f"ALERT_URL='https://a.example/s3 cret'\nALERT_KEY={KEY}\n", "plain characters"),
        (f"ALERT_URL=https://a.example/s3crét\nALERT_KEY={KEY}\n", "plain characters"),
        (f"ALERT_URL=https://a.example/\nALERT_KEY={KEY}\nALERT_CHAT=1\n", "for telegram"),
        ("ALERT_UR=https://a.example/s3cret\n", "did you mean ALERT_URL"),
        ("s3cret\n", "line 1 is not NAME=VALUE"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_and_not_shown(tmp_path: Path, text: str, said: str) -> None:
    assert said in _problem(tmp_path, text)


def test_telegram_needs_a_chat_and_no_key(tmp_path: Path) -> None:
    url = "ALERT_URL=https://api.telegram.org/bot1:s3cret/sendMessage\n"
    assert "ALERT_CHAT" in _problem(tmp_path, url, Format.TELEGRAM)
    assert "ALERT_CHAT" in _problem(tmp_path, url + "ALERT_CHAT=me\n", Format.TELEGRAM)
    _write(tmp_path, url + "ALERT_CHAT=@my_channel\n")
    to = load_destination(AlertSettings(format=Format.TELEGRAM), tmp_path)
    assert (to.chat, bytes(to.key), to.where) == (
        "@my_channel", b"", "https://api.telegram.org:443",
    )  # fmt: skip
    assert bytes(to.target) == b"/bot1:s3cret/sendMessage"


def test_pieces_of_an_address_that_are_secrets_leave_no_line(tmp_path: Path) -> None:
    _write(
        tmp_path,
        "ALERT_URL=https://hooks.slack.com/services/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\n",
    )
    load_destination(AlertSettings(format=Format.SLACK), tmp_path)
    shown = redact("services T0AAAAAA1 B0BBBBBB2 cccCCCdddDDDeeeEEE333fff hooks.slack.com")
    assert shown == "services [secret] [secret] [secret] hooks.slack.com"


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_plain_http_is_for_this_machine_only(tmp_path: Path, host: str) -> None:
    _write(tmp_path, f"ALERT_URL=http://{host}:8080\nALERT_KEY={KEY}\n")
    to = load_destination(AlertSettings(format=Format.JSON), tmp_path)
    assert (to.tls, to.port, bytes(to.target)) == (False, 8080, b"/")
    assert to.where == f"http://{host}:8080"


@POSIX
def test_a_file_that_others_may_read_is_refused_with_its_fix(tmp_path: Path) -> None:
    file = _write(tmp_path, f"ALERT_URL=https://a.example/\nALERT_KEY={KEY}\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_destination(AlertSettings(format=Format.JSON), tmp_path)
