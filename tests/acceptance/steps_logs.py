"""What an attacker can make the logs say, and how much of it."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from typing import Final

from bridge_core.host import logs
from bridge_core.host.logs import log_event, setup_logging
from bridge_core.protocol import limits
from bridge_core.protocol.messages import Flatten, encode_body
from bridge_core.protocol.operations import Op, Purpose
from bridge_core.protocol.signing import Frames, RequestKeys, mac_input, sign_request
from tests.acceptance.house import StageClient
from tests.acceptance.language import says
from tests.acceptance.steps_flood import answers_to
from tests.acceptance.steps_scopes import silent_count
from tests.acceptance.steps_secrets import run_ztb
from tests.acceptance.world import World
from tests.support.raw_client import open_body
from tests.support.running import wait_until

WHO: Final = "connector|operator|query|reduce|trade"
_MB: Final = 1024 * 1024
_FALSE: Final = "2026-01-01T00:00:00.000Z INFO resumed cause=OPERATOR"
TEXTS: Final = {
    "two lines": "a\nb INFO x", "CR LF and a false line": f"a\r\n{_FALSE}",
    "ANSI colours": "\x1b[2J\x1b[31mred", "a false JSON record": '{"ts":1,"kind":"START"}',
    "%s%n%x%p": "%s%n%x%p", "{0} and ${HOME}": "{0} ${HOME}", "a NUL": "a\x00b",
    "a DEL": "a\x7fb", "a bell": "a\x07b", "8-bit letters": "\xe9\xff",
    "4000 characters": "A" * 4_000, "1000000 characters": "A" * 1_000_000,
    "a false log line": _FALSE,
}  # fmt: skip
_TEXT: Final = "|".join(name.replace("$", r"\$").replace("{", r"\{") for name in TEXTS)


# --- 127: log floods -----------------------------------------------------------------------------


def _log(world: World) -> bytes:
    return world.house.account.log.encode("ascii")


def _bad(client: StageClient, wrong: str) -> tuple[Frames, str]:
    key = client.keys.keys[Purpose.ORDER_SRV]
    changes: dict[str, object] = {}
    if wrong == "forged":
        key = secrets.token_bytes(32)
    elif wrong == "of an unknown key id":
        changes = {"kid": f"x{secrets.token_hex(4)}"}
    elif wrong == "of another account":
        changes = {"acct": secrets.token_hex(4)}
    token = client.token(Op.OPEN, **changes)
    frames = sign_request(token, encode_body(open_body()), RequestKeys(key, Purpose.ORDER_SRV))
    if wrong == "unsigned":
        frames = frames._replace(token=frames.token[:-64] + b"0" * 64)
    elif wrong == "without a token":
        frames = frames._replace(token=secrets.token_bytes(40))
    reason = {
        "unsigned": "mac", "forged": "mac", "of an unknown key id": "key",
        "of another account": "account", "from another identity": "identity",
        "without a token": "token",
    }[wrong]  # fmt: skip
    return frames, reason


@says(rf"the (?P<who>{WHO}) key sends (?P<count>\d+) messages (?P<wrong>.+)")
def sends_bad(world: World, who: str, count: str, wrong: str) -> str:
    """Flood the server with messages that are all wrong in one way."""
    client = world.client(who)
    _listen(world)
    made = [_bad(client, wrong) for _ in range(int(count))]
    over = world.client("query") if wrong == "from another identity" else client
    return silent_count(world, over, [frames for frames, _ in made], made[0][1])


def _listen(world: World) -> None:
    # The table's runner silences logging; this scenario is about the log.
    before = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    world.at_end(lambda: logging.disable(before))
    world.notes["log"], world.notes["then"] = _log(world), time.monotonic()


@says(rf"the (?P<who>{WHO}) key sends (?P<count>\d+) orders (?P<wrong>.+)")
def sends_refused(world: World, who: str, count: str, wrong: str) -> str:
    """Flood the server with orders that are refused."""
    client = world.client(who)
    _listen(world)
    iat = world.house.clock.true_ms() - (60_000 if "expired" in wrong else 0)
    volume = "77" if "volume" in wrong else "0.01"
    made = [
        client.sign(Op.OPEN, b'{"a":1}' if "bodies" in wrong else open_body(volume=volume), iat=iat)
        for _ in range(int(count))
    ]
    found = answers_to(client, made)
    return f"{sum(one.startswith('DENIED') for one in found)} DENIED"


@says(r"the log has grown by")
def log_grown(world: World) -> str:
    """Count the lines that the flood wrote, against the seconds that it took."""
    then = world.notes["then"]
    assert isinstance(then, float)
    lines = _since(world).decode("ascii").splitlines()
    seconds = int(time.monotonic() - then)
    longest = max(map(len, lines), default=0)
    if 1 <= len(lines) <= seconds + 2 and longest < 256:
        return "at most a line a second"
    return f"{len(lines)} lines in {seconds} s, the longest of {longest} characters"


@says(r"a log whose bound is (?P<bound>\d+) KiB is told (?P<count>\d+) lines of (?P<size>\d+) "
      r"characters")  # fmt: skip
def told_lines(world: World, bound: str, count: str, size: str) -> str:
    """Write far more than the bound into a log of its own."""
    place, before = world.stage.place(), logging.root.manager.disable
    real = logs._FILE_BYTES_MAX
    vars(logs)["_FILE_BYTES_MAX"] = int(bound) * 1024
    log = setup_logging("scenario-log", file=place / "server.log", debug=False)
    vars(logs)["_FILE_BYTES_MAX"] = real
    log.removeHandler(next(one for one in log.handlers if not hasattr(one, "baseFilename")))
    logging.disable(logging.NOTSET)
    for number in range(int(count)):
        log_event(log, "info", "flood", number=number, text="x" * int(size), more="y" * 200)
    logging.disable(before)
    for handler in list(log.handlers):
        log.removeHandler(handler)
        handler.close()
    sizes = [path.stat().st_size for path in place.iterdir()]
    within = all(one <= int(bound) * 1024 for one in sizes)
    return f"{len(sizes)} files, none above its bound" if within else f"{sizes}"


@says(r"the bound of the server's own log")
def own_bound(world: World) -> str:
    """Read the bound off the handler of a server that runs."""
    world.client()
    found = [
        one.maxBytes for one in logging.getLogger("ztb-server").handlers
        if hasattr(one, "maxBytes")
    ]  # fmt: skip
    return f"{found[0] // _MB} MiB" if found else "none"


# --- 306: injection ------------------------------------------------------------------------------


@says(r"the log's end is noted")
def note_log(world: World) -> None:
    """Remember where the log and the record end."""
    client = world.client()
    _listen(world)
    world.notes["size"] = client.ping().token.log_size


def _since(world: World) -> bytes:
    before = world.notes["log"]
    assert isinstance(before, bytes)
    return _log(world)[len(before) :]


_FIELDS: Final = {
    "symbol": b'"symbol":"EURUSD"', "client_order_id": b'"client_order_id":"PLAIN"',
    "comment": b'"comment":"PLAIN"', "client": b'"client":"raw"', "reason": b'"reason":"PLAIN"',
}  # fmt: skip


@says(rf"the (?P<who>{WHO}) key asks with (?P<text>{_TEXT}) in its (?P<field>[a-z_]+)")
def asks_with_text(world: World, who: str, text: str, field: str) -> str:
    """Put a hostile text into a field of a truly signed body, byte for byte."""
    op = Op.FLATTEN if field == "reason" else Op.OPEN
    whole = Flatten(
        client_order_id=secrets.token_hex(8), client="raw", scope="ALL", symbol="", reason="PLAIN"
    )
    plain = whole if op is Op.FLATTEN else open_body(comment="PLAIN", client_order_id="PLAIN")
    raw, old = encode_body(plain), _FIELDS[field]
    assert old in raw
    name = old.partition(b":")[0]
    bent = raw.replace(old, name + b':"' + TEXTS[text].encode("latin-1")[:3_000] + b'"')
    if field != "client_order_id":
        bent = bent.replace(b'"PLAIN"', f'"{secrets.token_hex(8)}"'.encode(), 1)
    words = world.ask(world.sign("last", op, bent, who)) or ""
    return words if words.startswith("nothing") else f"answered {words}"


_TOKEN_FIELDS: Final = ("prefix", "5", "kid", "acct", "op", "rid", "iat", "ttl", "inc", "ea", "mac")


@says(rf"a forged request with (?P<text>{_TEXT}) in its (?P<field>[a-z]+)")
def forged_with_text(world: World, text: str, field: str) -> str:
    """Put a hostile text into a field of the token; sign it if it is not the MAC itself."""
    client = world.client("trade")
    parts = client.sign(Op.OPEN, open_body()).token.split(b":")
    parts[_TOKEN_FIELDS.index(field)] = TEXTS[text].encode("latin-1").replace(b":", b";")[:200]
    body = encode_body(open_body())
    if field != "mac":
        head = b":".join(parts[:-1]) + b":"
        key = client.keys.keys[Purpose.ORDER_SRV]
        mac = hmac.digest(key, mac_input(Purpose.ORDER_SRV, head, body), "sha256").hex()
        parts[-1] = mac.encode("ascii")
    return world.deliver([b"", limits.FRAME_TAG, b":".join(parts), body], client)


@says(r"the log since then")
def log_since(world: World) -> str:
    """Look at every byte that was added."""
    added = _since(world)
    assert added.endswith(b"\n") or not added
    odd = {byte for byte in added if byte != 0x0A and not 0x20 <= byte < 0x7F}
    if odd:
        return f"odd bytes {sorted(odd)}"
    for line in added.decode("ascii").splitlines():
        if len(line) > limits.LOG_LINE_CHARS_MAX:
            return f"a line of {len(line)} characters"
        if not line[:4].isdigit() or line.startswith(_FALSE):
            return f"a line that begins {line[:60]!r}"
    return "plain lines of at most 512 characters"


@says(rf"the log since then shows (?P<text>{_TEXT})")
def log_shows(world: World, text: str) -> str:
    """Look for the text, raw or escaped."""
    added = _since(world).decode("ascii")
    wanted = TEXTS[text]
    return "yes" if wanted in added or repr(wanted)[1:-1] in added else "no"


@says(r"the record since then")
def record_since(world: World) -> str:
    """Read the new records: each is one compact JSON object, and the chain holds."""
    log = world.house.evidence(world.house.clock.wall_ms()).log
    size = world.notes["size"]
    assert isinstance(size, int)
    return "whole" if not hasattr(log, "why") and log[0] >= size else f"broken {log}"


@says(rf"the broker's library fails with (?P<text>{_TEXT})")
def library_fails(world: World, text: str) -> None:
    """Raise an error of the library's own words once."""
    house = world.house

    def pump() -> None:
        raise OSError(TEXTS[text])

    vars(house.broker)["pump"] = pump
    wait_until(lambda: b"backend_failed" in _since(world))
    del vars(house.broker)["pump"]


@says(r"the log since then has")
def log_has(world: World) -> str:
    """Count the lines about the failure; a second is a second failure of the same kind."""
    lines = _since(world).decode("ascii").splitlines()
    found = [line for line in lines if "backend_failed" in line]
    others = [line for line in lines if " ERROR " in line and line not in found]
    return "one line of backend_failed" if found and not others else f"{lines}"


@says(rf"a position of somebody else has the comment (?P<text>{_TEXT})")
def foreign_comment(world: World, text: str) -> None:
    """Let the broker show what somebody typed into another program."""
    house = world.house
    house.ready()
    house.broker.put_position(comment=TEXTS[text])
    wait_until(lambda: bool(house.client().query(Op.GET_POSITIONS).positions))


@says(r"the connector runs `(?P<words>ztb [^`]+)` for people")
def for_people(world: World, words: str) -> str:
    """Run `ztb` without --json."""
    return run_ztb(world, "connector", words)


@says(r"the screen")
def screen(world: World) -> str:
    """Look at every character that the last command printed."""
    said = str(world.notes["said"])
    odd = [c for c in said if not (c.isprintable() or c in "\n\t")]
    lines = said.strip().count("\n") + 1
    return f"control characters {odd}" if odd else f"without control characters, {lines} lines"
