"""The webhook over real sockets: signed, tried again, never in anybody's way, never a secret."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bridge_core.host.alert_settings import AlertSettings, Destination, Format, load_destination
from bridge_core.host.alert_trial import look_at, try_out
from bridge_core.host.outbox import Alert, Item
from bridge_core.host.webhook import Origin, Webhook, render, sign
from bridge_core.protocol import limits
from tests.support.receiver import Receiver, silent_socket, write_env
from tests.support.running import free_port, wait_until

ORIGIN = Origin("demo", "paper", "server", "0123456789abcdef")
JSON = AlertSettings(format=Format.JSON)


class Said:
    """What a webhook writes into the log."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def __call__(self, level: str, event: str, fields: dict[str, object]) -> None:
        self.lines.append((level, event, fields))


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


def _to(folder: Path, port: int, settings: AlertSettings = JSON, **env: str) -> Destination:
    write_env(folder, port, **env)
    return load_destination(settings, folder)


def _alert(code: str = "IDENTITY", severity: str = "critical", **more: Any) -> Alert:
    return Alert(code=code, severity=severity, message=f"about {code}", time=1_700_000_000_123,
                 **more)  # fmt: skip


# --- what arrives ---------------------------------------------------------------------------------


def test_an_alert_arrives_signed_and_says_who_what_and_when(
    tmp_path: Path, receiver: Receiver, said: Said
) -> None:
    key = write_env(tmp_path, receiver.port)
    hook = Webhook(load_destination(JSON, tmp_path), ORIGIN, said)
    hook.tell(_alert())
    got = receiver.wait_for("IDENTITY")
    hook.close()
    assert got.signed(key)
    assert not got.signed("another key that is long enough, too")
    assert got.json == {
        "schema": "bridge.alert/1", "account": "demo", "mode": "paper", "by": "server",
        "code": "IDENTITY", "severity": "critical", "message": "about IDENTITY", "subject": "",
        "time": 1_700_000_000_123, "at": "2023-11-14T22:13:20.123Z",
        "incarnation": "0123456789abcdef", "sequence": 1, "repeated": 0,
    }  # fmt: skip
    assert said.lines == []


def test_a_changed_body_or_timestamp_does_not_verify(
    tmp_path: Path, receiver: Receiver, said: Said
) -> None:
    key = write_env(tmp_path, receiver.port)
    hook = Webhook(load_destination(JSON, tmp_path), ORIGIN, said)
    hook.tell(_alert())
    got = receiver.wait_for("IDENTITY")
    hook.close()
    assert not got._replace(body=got.body.replace(b"critical", b"info")).signed(key)
    older = {**got.headers, "X-Bridge-Timestamp": str(int(got.headers["X-Bridge-Timestamp"]) - 1)}
    assert not got._replace(headers=older).signed(key)


def test_the_signature_is_what_openssl_says() -> None:
    # printf '1700000000.{}' | openssl dgst -sha256 -hmac kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk
    wanted = "0b3b35525c10b3757ffa78df69037021fc3168d8390a51a4fcb4a8d56a25b557"
    assert sign(b"k" * 32, "1700000000", b"{}") == f"v1={wanted}"


def test_less_urgent_ones_stay_here(tmp_path: Path, receiver: Receiver, said: Said) -> None:
    write_env(tmp_path, receiver.port)
    settings = replace(JSON, min_severity="error")
    hook = Webhook(load_destination(settings, tmp_path), ORIGIN, said)
    for code, severity in (("ZONE", "warning"), ("TEST", "info"), ("CLOCK", "error")):
        hook.tell(_alert(code, severity))
    receiver.wait_for("CLOCK")
    hook.close()
    assert receiver.codes() == ["CLOCK"]


def test_telegram_gets_plain_text_and_its_token_is_in_the_address_only(
    tmp_path: Path, receiver: Receiver, said: Said
) -> None:
    settings = AlertSettings(format=Format.TELEGRAM)
    write_env(
        tmp_path, receiver.port, "/bot123456:AAbbCCddEE/sendMessage", ALERT_KEY="",
        ALERT_CHAT="-1001234567890",
    )  # fmt: skip
    to = load_destination(settings, tmp_path)
    hook = Webhook(to, ORIGIN, said)
    hook.tell(replace(_alert(), message="a *bold* <b>word</b> [x](http://y)\n\x1b[31m"))
    wait_until(lambda: len(receiver.got) == 1)
    hook.close()
    (got,) = receiver.got
    assert got.path == "/bot123456:AAbbCCddEE/sendMessage"
    assert set(got.json) == {"chat_id", "text"}  # no parse_mode: nothing is markup
    assert got.json["chat_id"] == "-1001234567890"
    head, message, foot = got.json["text"].split("\n")
    assert head == "[CRITICAL] demo PAPER IDENTITY"
    assert message == "a *bold* <b>word</b> [x](http://y)  [31m"
    assert foot == "2023-11-14T22:13:20.123Z by server"
    assert "X-Bridge-Signature" not in got.headers


def test_no_message_can_ping_a_slack_channel(tmp_path: Path) -> None:
    settings = AlertSettings(format=Format.SLACK)
    to = _to(tmp_path, 1_234, settings, ALERT_KEY="")
    alert = replace(_alert(), message="<!channel> & <@U1>")
    told = json.loads(render(Item(sequence=1, alert=alert), ORIGIN, to))
    assert "&lt;!channel&gt; &amp; &lt;@U1&gt;" in told["text"]
    assert told["mrkdwn"] is False


# --- receivers that are not well -----------------------------------------------------------------


def test_an_error_is_tried_again_until_it_arrives_with_a_fresh_signature(
    tmp_path: Path, receiver: Receiver, said: Said
) -> None:
    key = write_env(tmp_path, receiver.port)
    receiver.answer = lambda _got: (500 if len(receiver.got) < 3 else 200, {})
    hook = Webhook(load_destination(JSON, tmp_path), ORIGIN, said)
    hook.tell(_alert())
    wait_until(lambda: len(receiver.got) == 3, 8.0)
    hook.close()
    assert [one.json["sequence"] for one in receiver.got] == [1, 1, 1]
    assert all(one.signed(key) for one in receiver.got)
    gaps = [b.at - a.at for a, b in zip(receiver.got, receiver.got[1:], strict=False)]
    assert gaps[0] >= 0.9
    assert gaps[1] >= 1.9
    assert [(level, fields.get("state")) for level, _, fields in said.lines] == [
        ("warning", "fails"), ("info", "delivers"),
    ]  # fmt: skip


def test_a_receiver_that_says_429_is_left_alone_as_long_as_it_asks(
    tmp_path: Path, receiver: Receiver, said: Said
) -> None:
    receiver.answer = lambda _got: (
        (429, {"Retry-After": "2"}) if len(receiver.got) < 2 else (200, {})
    )
    hook = Webhook(_to(tmp_path, receiver.port), ORIGIN, said)
    hook.tell(_alert())
    wait_until(lambda: len(receiver.got) == 1)
    hook.tell(_alert("GHOST_FILL"))
    wait_until(lambda: len(receiver.got) == 3, 8.0)
    hook.close()
    assert receiver.got[1].at - receiver.got[0].at >= 1.9
    assert sorted(receiver.codes()[1:]) == ["GHOST_FILL", "IDENTITY"]


def test_a_redirect_is_not_followed(tmp_path: Path, receiver: Receiver) -> None:
    with Receiver() as other:
        goal = {"Location": f"http://127.0.0.1:{other.port}/elsewhere"}
        receiver.answer = lambda _got: (307, goal)
        tried = try_out(_to(tmp_path, receiver.port), ORIGIN)
        assert (tried.exit, tried.status, other.got) == (1, 307, [])
        assert "final address" in tried.fix


def test_no_proxy_of_the_environment_is_used(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    assert try_out(_to(tmp_path, receiver.port), ORIGIN).exit == 0


def test_a_socket_that_hangs_costs_three_seconds_and_its_caller_nothing(
    tmp_path: Path, said: Said
) -> None:
    with silent_socket() as port:
        hook = Webhook(_to(tmp_path, port), ORIGIN, said)
        begun = time.monotonic()
        for n in range(1_000):
            hook.tell(_alert(f"C{n}"))
        assert time.monotonic() - begun < limits.ALERT_POST_MS_MAX / 1000
        wait_until(lambda: bool(said.lines), 12)
        assert said.lines[0][2]["why"] == "no answer within 3 s"
        begun = time.monotonic()
        hook.close()
        assert time.monotonic() - begun < 10.0
        assert said.lines[-1][:2] == ("error", "alerts_unsent")


def test_an_answer_that_drips_is_cut_off_as_a_whole(tmp_path: Path) -> None:
    with socket.socket() as server:
        port = free_port()
        server.bind(("127.0.0.1", port))
        server.listen()

        def drip() -> None:
            one, _ = server.accept()
            with one:
                try:
                    for letter in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1_000:
                        one.sendall(bytes([letter]))
                        time.sleep(0.2)
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        begun = time.monotonic()
        tried = try_out(_to(tmp_path, port), ORIGIN)
        assert tried.exit == 2
        assert time.monotonic() - begun < 20.0


def test_what_is_no_http_is_said_to_be_none(tmp_path: Path) -> None:
    with socket.socket() as server:
        port = free_port()
        server.bind(("127.0.0.1", port))
        server.listen()

        def talk() -> None:
            one, _ = server.accept()
            with one:
                one.recv(4_096)
                one.sendall(b"220 mail.example ESMTP\r\n")

        threading.Thread(target=talk, daemon=True).start()
        tried = try_out(_to(tmp_path, port), ORIGIN)
        assert (tried.exit, tried.status) == (2, 0)
        assert "not HTTP" in tried.finding


def test_nobody_there_is_one_line_in_the_log_and_an_end_that_waits_briefly(
    tmp_path: Path, said: Said
) -> None:
    hook = Webhook(_to(tmp_path, free_port()), ORIGIN, said)
    hook.tell(_alert("ZONE", "warning"))
    wait_until(lambda: bool(said.lines))
    begun = time.monotonic()
    hook.close()
    assert time.monotonic() - begun < 5.0
    assert [event for _, event, _ in said.lines] == ["webhook", "alerts_unsent"]
    assert said.lines[1][2]["codes"] == "ZONE:1"


def test_the_end_waits_for_what_is_critical(tmp_path: Path, receiver: Receiver, said: Said) -> None:
    receiver.pause_s = 2.0
    hook = Webhook(_to(tmp_path, receiver.port), ORIGIN, said)
    hook.tell(_alert("JOURNAL_FATAL"))
    hook.close()
    assert receiver.codes() == ["JOURNAL_FATAL"]
    hook.tell(_alert("AFTER"))
    assert receiver.codes() == ["JOURNAL_FATAL"]


def test_an_end_that_comes_when_the_receiver_was_away_tries_once_more(
    tmp_path: Path, said: Said
) -> None:
    port = free_port()
    hook = Webhook(_to(tmp_path, port), ORIGIN, said)
    hook.tell(_alert("IDENTITY"))
    wait_until(lambda: bool(said.lines))
    with Receiver(port) as receiver:
        hook.close()
        assert receiver.codes() == ["IDENTITY"]


# --- `alerts test` and the doctors ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "fix"),
    [(401, "ALERT_KEY"), (403, "ALERT_KEY"), (404, "path"), (429, "wait"), (503, "own log"),
     (400, "format")],
)  # fmt: skip
def test_a_refusal_names_the_one_thing_to_mend(
    tmp_path: Path, receiver: Receiver, status: int, fix: str
) -> None:
    receiver.answer = lambda _got: (status, {})
    tried = try_out(_to(tmp_path, receiver.port), ORIGIN)
    assert (tried.exit, tried.status) == (1, status)
    assert fix in tried.fix


def test_a_look_sends_nothing(tmp_path: Path, receiver: Receiver) -> None:
    to = _to(tmp_path, receiver.port)
    answers, finding, fix = look_at(to)
    assert (answers, fix, receiver.got) == (True, "", [])
    assert "json, from warning up" in finding
    assert look_at(replace(to, port=free_port()))[0] is False


def test_a_receiver_without_tls_is_no_https(tmp_path: Path, receiver: Receiver) -> None:
    to = replace(_to(tmp_path, receiver.port), tls=True)
    for answers, finding in (look_at(to)[:2], (try_out(to, ORIGIN).exit == 0,
                                               try_out(to, ORIGIN).finding)):  # fmt: skip
        assert not answers
        assert "TLS" in finding


def test_a_name_that_does_not_exist_is_said_to_be_unknown(tmp_path: Path) -> None:
    to = replace(_to(tmp_path, 1_234), host="nobody.invalid")
    assert "not known" in try_out(to, ORIGIN).finding


# --- nothing leaks -------------------------------------------------------------------------------


def test_neither_repr_nor_log_nor_message_shows_address_or_key(
    tmp_path: Path, receiver: Receiver, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    token = "7123456789:AAFexampleTokenOfABot"
    key = write_env(tmp_path, receiver.port, f"/bot{token}/sendMessage?x=abcdefgh12345678")
    to = load_destination(JSON, tmp_path)
    receiver.answer = lambda _got: (500, {})
    with caplog.at_level(logging.DEBUG):
        hook = Webhook(to, ORIGIN, said)
        hook.tell(replace(_alert(), message=f"a peer who knows {key} and bot{token} says so"))
        wait_until(lambda: bool(receiver.got))
        hook.close()
    told = receiver.got[0].json["message"]
    for text in (repr(to), str(to), to.where, f"{said.lines}", caplog.text, told, f"{vars(hook)}"):
        assert token not in text
        assert key not in text
        assert "abcdefgh12345678" not in text
