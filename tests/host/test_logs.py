"""Log lines under attack: one record is one bounded line, and no registered secret passes."""

from __future__ import annotations

import base64
import logging
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge_core.host import logs
from bridge_core.host.logs import RateLimited, log_event, redact, register_secret, setup_logging
from bridge_core.protocol.errors import AuthenticationError, ConfigError
from bridge_core.protocol.limits import LOG_LINE_CHARS_MAX

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [A-Za-z0-9_.]+( [\x20-\x7e]+)?")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log" / "server.log"


@pytest.fixture
def log(file: Path) -> Iterator[logging.Logger]:
    logger = setup_logging("ztb.test", file=file, debug=False)
    yield logger
    close(logger)


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_secrets", logs._Secrets())


def close(logger: logging.Logger) -> None:
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def only_line(file: Path) -> str:
    data = file.read_bytes()
    assert data.count(b"\n") == 1
    assert data.endswith(b"\n")
    line = data[:-1].decode("ascii")
    assert LINE.fullmatch(line), line
    assert len(line) <= LOG_LINE_CHARS_MAX
    return line


def rest(line: str) -> str:
    return line.split(" ", 1)[1]


def test_a_line_reads_as_promised(log: logging.Logger, file: Path) -> None:
    log_event(log, logging.INFO, "order_filled", rid="ab12", price="1.08345", note="two words", n=3)
    assert rest(only_line(file)) == (
        'INFO order_filled rid=ab12 price=1.08345 note="two words" n=3'
    )


def test_the_time_is_utc_with_milliseconds(log: logging.Logger, file: Path) -> None:
    record = log.makeRecord(log.name, logging.INFO, "f", 1, "%s", ("start",), None)
    record.created = 1_795_219_200.123
    record.ztb_fields = {}
    log.handle(record)
    assert only_line(file).startswith("2026-11-21T00:00:00.123Z INFO start")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\r\nb", r'"a\x0d\x0ab"'),
        ("\x1b[31mred", r'"\x1b[31mred"'),
        ('x" admin=true y="', r'"x\" admin=true y=\""'),
        ("\\", r'"\\"'),
        ("\u202eevil", r'"\u202eevil"'),
        ("\u2028", r'"\u2028"'),
        ("\x85", r'"\x85"'),
        ("\U0001f4a9", r'"\U0001f4a9"'),
        ("\ud800", r'"\ud800"'),
        ("\x00\x7f", r'"\x00\x7f"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ("%s %d %(x)s {}", '"%s %d %(x)s {}"'),
        (b"\xff\n", r'"\xff\x0a"'),
        (None, "None"),
        (1.5, "1.5"),
    ],
)
def test_no_value_breaks_out_of_its_place(
    log: logging.Logger, file: Path, value: object, shown: str
) -> None:
    log_event(log, logging.INFO, "peer", v=value, end=1)
    assert rest(only_line(file)) == f"INFO peer v={shown} end=1"


def test_event_and_field_names_are_words(log: logging.Logger, file: Path) -> None:
    log_event(log, logging.INFO, "a\nb c=d", **{"x y\n=": 1})
    assert rest(only_line(file)) == "INFO a_b_c_d x_y__=1"


def test_a_million_characters_become_one_short_line(log: logging.Logger, file: Path) -> None:
    log_event(log, logging.INFO, "x" * 10**6, **{f"f{n}": "\n" * 10**6 for n in range(20)})
    line = only_line(file)
    assert '"...' in line
    assert re.search(r" cut=\d+$", line)


def test_a_value_whose_text_raises_costs_no_line(log: logging.Logger, file: Path) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    log_event(log, logging.INFO, "x", v=Broken())
    assert "Broken" in only_line(file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.dictionaries(st.text(max_size=9), st.text() | st.binary(), max_size=9))
def test_whatever_is_logged_is_one_line(
    log: logging.Logger, file: Path, event: str, fields: dict[str, object]
) -> None:
    fields = {k: v for k, v in fields.items() if k not in {"logger", "level", "event"}}
    file.write_bytes(b"")
    log_event(log, logging.INFO, event, **fields)
    only_line(file)


def test_a_foreign_record_is_escaped_as_well(log: logging.Logger, file: Path) -> None:
    log.warning("hello %s", "a\nb")
    assert rest(only_line(file)) == r'WARNING message text="hello a\x0ab"'


def test_levels_may_be_named(log: logging.Logger, file: Path) -> None:
    log_event(log, "debug", "hidden")
    log_event(log, "warning", "shown")
    assert rest(only_line(file)) == "WARNING shown"


# --- exceptions ----------------------------------------------------------------------------


def fail(secret: str) -> None:
    raise AuthenticationError("BAD_MAC", f"key={secret}")


def test_an_exception_shows_type_and_code_but_not_its_text(log: logging.Logger, file: Path) -> None:
    try:
        fail("hunter2")
    except AuthenticationError:
        log_event(log, logging.ERROR, "refused", kid="k1")
    line = only_line(file)
    assert rest(line) == "ERROR refused kid=k1 error=AuthenticationError code=BAD_MAC"


def test_an_exception_as_a_value_shows_no_text_either(log: logging.Logger, file: Path) -> None:
    log_event(log, logging.ERROR, "x", a=ValueError("hunter2"), b=ConfigError("CONFIG", "hunter2"))
    assert rest(only_line(file)) == "ERROR x a=ValueError b=CONFIG"


def test_debug_adds_the_places_of_the_traceback_and_nothing_else(file: Path) -> None:
    logger = setup_logging("ztb.test", file=file, debug=True)
    try:
        fail("hunter2")
    except AuthenticationError:
        logger.exception("hello")
    line = only_line(file)
    close(logger)
    assert re.search(r'trace="test_logs\.py:\d+:fail < test_logs\.py:\d+:test_', line)
    assert "hunter2" not in line


# --- redaction -----------------------------------------------------------------------------

KEY = bytes(range(7, 231, 7))


@pytest.mark.parametrize(
    "shown",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.b64encode(KEY).decode().rstrip("="),
        base64.urlsafe_b64encode(KEY).decode(),
        KEY.decode("latin-1"),
        repr(KEY),
        KEY,
        bytearray(KEY),
    ],
)
def test_no_form_of_a_registered_key_passes(
    log: logging.Logger, file: Path, shown: str | bytes
) -> None:
    register_secret(KEY)
    inside = b"before " + shown + b" after" if isinstance(shown, bytes) else f"before {shown} after"
    log_event(log, logging.INFO, "x", v=inside, **{f"k{KEY.hex()}": 1})
    line = only_line(file)
    assert "[secret]" in line
    assert "before" in line
    assert "after" in line
    for form in (KEY.hex(), KEY.hex().upper(), base64.b64encode(KEY).decode()[:20]):
        assert form not in line


def test_the_z85_form_is_known(log: logging.Logger, file: Path) -> None:
    from zmq.utils import z85

    register_secret(KEY)
    log_event(log, logging.INFO, "x", v=z85.encode(KEY))
    assert rest(only_line(file)) == 'INFO x v="[secret]"'


def test_event_names_and_foreign_records_are_redacted(log: logging.Logger, file: Path) -> None:
    register_secret(KEY)
    log.info("%s", KEY.hex())
    log_event(log, logging.INFO, KEY.hex())
    assert KEY.hex()[:10] not in file.read_text(encoding="ascii")


def test_a_secret_at_the_cut_is_not_shown_in_part(log: logging.Logger, file: Path) -> None:
    register_secret(KEY)
    for lead in range(120, 200, 7):
        file.write_bytes(b"")
        log_event(log, logging.INFO, "x", v="a" * lead + KEY.hex() + KEY.hex())
        assert KEY.hex()[:8] not in only_line(file)


def test_passwords_are_redacted_but_nothing_too_short_is() -> None:
    register_secret("pässwörd".encode())
    register_secret(b"abc")
    register_secret(b"")
    assert redact("say pässwörd abc") == "say [secret] abc"


# --- files ---------------------------------------------------------------------------------


def test_setting_up_twice_logs_once_and_leaves_the_root_alone(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root_before = list(logging.getLogger().handlers)
    setup_logging("ztb.test", file=file, debug=False)
    logger = setup_logging("ztb.test", file=file, debug=False)
    log_event(logger, logging.INFO, "once")
    close(logger)
    only_line(file)
    assert capsys.readouterr().err.count("once") == 1
    assert logging.getLogger().handlers == root_before


@pytest.mark.skipif(sys.platform == "win32", reason="platform: POSIX modes")
def test_the_file_is_for_its_owner_only(file: Path) -> None:
    before = os.umask(0)
    try:
        close(setup_logging("ztb.test", file=file, debug=False))
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_file_is_rotated_and_five_are_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_FILE_BYTES_MAX", 2_000)
    logger = setup_logging("ztb.test", file=file, debug=False)
    logger.removeHandler(logger.handlers[0])
    for n in range(400):
        log_event(logger, logging.INFO, "x", n=n)
    close(logger)
    files = sorted(file.parent.iterdir())
    assert [f.name for f in files] == ["server.log", *(f"server.log.{n}" for n in range(1, 6))]
    assert all(f.stat().st_size <= 2_000 for f in files)
    assert "n=399" in file.read_text(encoding="ascii").splitlines()[-1]


def test_a_file_that_may_not_be_renamed_grows_on_and_is_rotated_later(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        tries.append(1)
        raise PermissionError(13, "Access is denied")

    tries: list[int] = []
    monkeypatch.setattr(logs, "_FILE_BYTES_MAX", 2_000)
    logger = setup_logging("ztb.test", file=file, debug=False)
    logger.removeHandler(logger.handlers[0])
    for n in range(50):
        log_event(logger, logging.INFO, "x", n=n)
    older = sorted(file.parent.glob("server.log.*"))
    texts = [path.read_bytes() for path in older]
    with monkeypatch.context() as held:
        held.setattr(os, "rename", refuse)
        for n in range(50, 250):
            log_event(logger, logging.INFO, "x", n=n)
    assert 1 < len(tries) < 10
    assert [path.read_bytes() for path in older] == texts
    lines = file.read_text("ascii").splitlines()
    assert [line.rpartition("n=")[2] for line in lines[-200:]] == [str(n) for n in range(50, 250)]
    for n in range(250, 350):
        log_event(logger, logging.INFO, "x", n=n)
    close(logger)
    assert file.stat().st_size <= 2_000


def test_a_file_that_cannot_be_opened_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"")
    with pytest.raises(ConfigError) as caught:
        setup_logging("ztb.test", file=tmp_path / "log" / "server.log", debug=False)
    assert caught.value.code == "LOG_FILE"


def test_a_log_that_cannot_be_written_neither_raises_nor_prints_the_arguments(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = setup_logging("ztb.test", file=file, debug=False)
    handler = logger.handlers[1]
    assert isinstance(handler, logs._FileHandler)

    def full(_text: str) -> int:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handler, "stream", type("Full", (), {"write": staticmethod(full)})())
        log_event(logger, logging.INFO, "x", v="hunter2")
    close(logger)
    assert handler.lost == 1
    assert capsys.readouterr().err.count("\n") == 1


# --- the rate ------------------------------------------------------------------------------


def test_one_line_a_second_for_each_key_and_the_next_tells_how_many_were_kept_back() -> None:
    rate = RateLimited()
    assert rate.allow("a", 1_000) == 0
    assert [rate.allow("a", 1_000 + n) for n in range(1, 1_000, 100)] == [None] * 10
    assert rate.allow("b", 1_500) == 0
    assert rate.allow("a", 2_000) == 10
    assert rate.allow("a", 2_001) is None


def test_a_peer_that_invents_keys_gets_one_line_for_all_of_them() -> None:
    rate = RateLimited(keys_max=10)
    allowed = [n for n in range(10_000) if rate.allow(f"k{n}", 1_000) is not None]
    assert len(allowed) == 11
    assert len(rate._seen) == 10


def test_nothing_suppressed_is_ever_lost_from_the_count() -> None:
    rate = RateLimited(keys_max=4)
    shown = told = 0
    calls = 0
    for now in range(0, 60_000, 10):
        for key in (f"k{now // 500 % 9}", f"z{now % 70}"):
            calls += 1
            answer = rate.allow(key, now)
            if answer is not None:
                shown += 1
                told += answer
    waiting = sum(n for _, n in rate._seen.values()) + (rate._overflow or (0, 0))[1]
    assert shown + told + waiting == calls


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 400)), max_size=60))
def test_no_key_gets_two_lines_within_a_second(calls: list[tuple[str, int]]) -> None:
    rate, now = RateLimited(), 0
    last: dict[str, int] = {}
    for key, wait in calls:
        now += wait
        if rate.allow(key, now) is not None:
            assert now - last.get(key, -1_000) >= 1_000
            last[key] = now
