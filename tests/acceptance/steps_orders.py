"""Everyday steps: the server, orders and questions, time that passes, what the broker did."""

from __future__ import annotations

import re
import secrets
import shutil
from typing import Final

from bridge_core.protocol.errors import BridgeError
from bridge_core.protocol.messages import (
    Cancel,
    Fence,
    Flatten,
    GetStatus,
    Modify,
    Request,
    Stop,
)
from bridge_core.protocol.operations import Op
from bridge_core.protocol.replies import HelloReply
from tests.acceptance.language import says
from tests.acceptance.world import Signed, World, said_of
from tests.support.raw_client import close_body, open_body
from tests.support.running import wait_until
from tests.support.scripted_backend import Hang, loses, rejects

NAME: Final = r"[a-z][a-z0-9-]*"
WHO: Final = "connector|operator|query|reduce|trade"
_ORDER: Final = r"(?P<side>buy|sell) (?P<symbol>\S+) (?P<volume>\S+)"
_WITH: Final = r"(?: with (?P<fields>.+?))?"
_AS: Final = rf"(?: as (?P<name>{NAME}))?"
_BY: Final = rf"(?:with the (?P<who>{WHO}) key: )?"
_NUMBERS: Final = frozenset({"deviation", "expiration", "strategy", "ticket", "ttl", "iat"})
UNITS: Final = {
    "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "days": 86_400_000,
    "years": 31_557_600_000,
}  # fmt: skip
_TOKEN: Final = frozenset({"ttl", "iat", "inc", "rid", "kid", "acct"})


# --- the server ------------------------------------------------------------------------------


@says(r"a fresh server(?: with (?P<extra>.+))?")
def fresh_server(world: World, extra: str = "") -> str:
    """`a fresh server with signature_ttl_s = 10; max_positions = 5`."""
    house = world.fresh(extra=extra.replace("; ", "\n"))
    house.ready()
    return "ACTIVE"


@says(r"a server process(?: with (?P<extra>.+))?")
def server_process(world: World, extra: str = "") -> str:
    """Run in a process of its own, on the paper broker, so that it can be killed."""
    house = world.fresh(extra=extra.replace("; ", "\n"), paper=True)
    house.ready()
    return "ACTIVE"


@says(r"the server (?P<how>restarts|starts|stops|is killed)")
def server_does(world: World, how: str) -> str:
    """Say how it then is: its trading state, or why it does not start."""
    house = world.house
    if how == "stops":
        house.stop()
        return "stopped"
    if how == "is killed":
        house.kill()
        return "killed"
    house.stop()
    try:
        house.start()
    except BridgeError as error:
        return f"refuses to start: {error.code} {error.detail}"
    client = house.client()
    wait_until(lambda: "RECOVERING" not in {one.cause for one in client.hello().causes}, 15)
    return state_words(client.hello())


@says(r"the journal is deleted")
def journal_deleted(world: World) -> None:
    """Take the server's past away, as a lost disk does."""
    world.house.stop()
    shutil.rmtree(world.house.account.state)
    world.house.forget_history()


@says(r"the state")
def the_state(world: World) -> str:
    """Return the trading state and its causes."""
    return state_words(world.client().hello())


def state_words(found: HelloReply) -> str:
    """Return a trading state with its causes."""
    return " ".join([found.state, *(cause.cause for cause in found.causes)])


# --- orders ----------------------------------------------------------------------------------


def fields_of(text: str | None, world: World) -> tuple[dict[str, object], dict[str, object]]:
    """Return the fields of `sl 1.1, ttl 200` as (of the token, of the body).

    `rid of first`, `id of first` and `ticket of first` take another request's; `sl ""` is empty;
    `sl 1.1` is text and `ttl 200` a number, as protocol.md has them; `issued 250 ms ahead` and
    `issued 6 s ago` set the iat.
    """
    token: dict[str, object] = {}
    body: dict[str, object] = {}
    for part in re.split(r", ", text) if text else []:
        key, _, value = part.partition(" ")
        found: object = value.strip('"')
        if key == "issued":
            key, found = "iat", world.house.clock.true_ms() + _shift(value)
        elif value.startswith("of "):
            found = _of(world.get(value[3:]), key)
        elif key in _NUMBERS and re.fullmatch(r"-?\d+", value):
            found = int(value)
        key = "client_order_id" if key == "id" else key
        (token if key in _TOKEN else body)[key] = found
    return token, body


def _shift(text: str) -> int:
    match = re.fullmatch(r"(\d+) (ms|s|min|h|days|years) (ahead|ago)", text)
    assert match is not None, f"not a time from now: {text!r}"
    return int(match[1]) * UNITS[match[2]] * (1 if match[3] == "ahead" else -1)


def _of(one: Signed, key: str) -> object:
    if key == "ticket":
        return one.view.ticket
    if key == "id":
        return one.view.client_order_id
    return getattr(one.token, key)


@says(rf"{_BY}(?P<only>sign )?{_ORDER}{_WITH}{_AS}")
def order(world: World, **said: str) -> str | None:
    """`buy EURUSD 0.01 with sl 1.05, ttl 200 as first`; `sign buy ...` does not send it."""
    token, changes = fields_of(said.get("fields"), world)
    body = open_body(
        symbol=said["symbol"], type=said["side"].upper(), volume=said["volume"], **changes
    )
    return _do(world, said, Op.OPEN, body, token)


def _do(
    world: World, said: dict[str, str], op: Op, body: Request, token: dict[str, object]
) -> str | None:
    who = said.get("who", "connector")
    one = world.sign(said.get("name", "last"), op, body, who, **token)
    return None if said.get("only") else world.ask(one)


@says(rf"{_BY}(?P<only>sign )?a (?P<type>(?:buy|sell) (?:limit|stop)) (?P<symbol>\S+) "
      rf"(?P<volume>\S+) at (?P<price>\S+){_WITH}{_AS}")  # fmt: skip
def pending(world: World, **said: str) -> str | None:
    """`a buy limit EURUSD 0.01 at 1.05 as resting`."""
    token, changes = fields_of(said.get("fields"), world)
    kind = said["type"].upper().replace(" ", "_")
    body = open_body(
        symbol=said["symbol"], type=kind, volume=said["volume"], price=said["price"], **changes
    )
    return _do(world, said, Op.OPEN, body, token)


@says(rf"{_BY}(?P<only>sign )?(?P<act>close|cancel|modify) (?P<which>{NAME}){_WITH}{_AS}")
def on_ticket(world: World, **said: str) -> str | None:
    """`close first`, `modify first with sl 1.05, old_sl 1.04`, `cancel resting`."""
    token, changes = fields_of(said.get("fields"), world)
    which = said["which"]
    ticket = int(which[1:]) if re.fullmatch(r"t\d+", which) else world.get(which).view.ticket
    client_order_id = str(changes.pop("client_order_id", secrets.token_hex(8)))
    common: dict[str, object] = {"client_order_id": client_order_id, "client": "raw"}
    body: Request
    if said["act"] == "close":
        body, op = close_body(ticket, **{**common, **changes}), Op.CLOSE
    elif said["act"] == "cancel":
        body, op = Cancel(**common, ticket=ticket), Op.CANCEL  # type: ignore[arg-type]
    else:
        values: dict[str, object] = {
            "price": "0", "sl": "0", "tp": "0", "old_sl": "0", "old_tp": "0", "expiration": 0,
        }  # fmt: skip
        body = Modify(**{**common, "ticket": ticket, **values, **changes})  # type: ignore[arg-type]
        op = Op.MODIFY
    return _do(world, said, op, body, token)


@says(rf"{_BY}(?P<only>sign )?flatten(?: (?P<scope>ALL|POSITIONS|PENDINGS))?{_WITH}{_AS}")
def flatten(world: World, **said: str) -> str | None:
    """Close and cancel everything, as one order."""
    token, changes = fields_of(said.get("fields"), world)
    values: dict[str, object] = {
        "client_order_id": secrets.token_hex(8), "client": "raw",
        "scope": said.get("scope", "ALL"), "symbol": "", "reason": "scenario", **changes,
    }  # fmt: skip
    return _do(world, said, Op.FLATTEN, Flatten(**values), token)  # type: ignore[arg-type]


@says(rf"{_BY}(?P<only>sign )?(?P<act>halt|reduce only){_WITH}{_AS}")
def stop(world: World, **said: str) -> str | None:
    """Lower the trading state."""
    token, _ = fields_of(said.get("fields"), world)
    op = Op.HALT if said["act"] == "halt" else Op.REDUCE_ONLY
    return _do(world, said, op, Stop(reason="scenario"), token)


@says(rf"{_BY}(?P<only>sign )?fence (?P<which>{NAME}){_WITH}{_AS}")
def fence(world: World, **said: str) -> str | None:
    """Plant a tombstone; the answer is said in the words of the order it is about."""
    one = world.get(said["which"])
    token, _ = fields_of(said.get("fields"), world)
    body = Fence(rid=one.rid, inc=one.token.inc, iat=one.token.iat, symbol="EURUSD")
    return _do(world, said, Op.FENCE, body, token)


@says(rf"{_BY}status of (?P<which>{NAME})")
def status(world: World, **said: str) -> str | None:
    """Ask for one order; the answer is said in its words."""
    body = GetStatus(rid=world.get(said["which"]).rid, client_order_id="")
    return _do(world, said, Op.GET_STATUS, body, {})


@says(rf"(?P<which>{NAME}) becomes (?P<word>[A-Z]+)")
def becomes(world: World, which: str, word: str) -> str:
    """Ask for an order's status until it is so."""
    rid = world.get(which).rid
    client = world.client()

    def so() -> bool:
        answer = client.status(rid=rid)
        return answer.status == "OK" and answer.subject().status == word

    wait_until(so, 15)
    return word


@says(rf"(?P<which>{NAME}) is final")
def is_final(world: World, which: str) -> str:
    """Ask for an order's status until it is final; say it."""
    rid = world.get(which).rid
    client = world.client()
    wait_until(lambda: client.status(rid=rid).subject().final, 15)
    return said_of(client.status(rid=rid).subject())


# --- sending what was signed -----------------------------------------------------------------


@says(rf"{_BY}send (?P<which>{NAME})(?: again)?(?: (?P<how>on another socket|from the (?:{WHO})"
      rf" identity))?")  # fmt: skip
def send(world: World, which: str, how: str = "", who: str = "") -> str:
    """Send signed bytes, once more or for the first time, perhaps over somebody else's socket."""
    one = world.get(which)
    if who:
        return world.ask(one, world.client(who))
    if how.startswith("from"):
        return world.ask(one, world.client(how.split()[2]))
    if how:
        return world.ask(one, world.house.extra_client())
    return world.ask(one)


@says(rf"start (?P<which>{NAME})")
def start(world: World, which: str) -> None:
    """Send signed bytes and do not wait for the answer."""
    one = world.get(which)
    world.client(one.who).send(one.frames)


@says(rf"the answer to (?P<which>{NAME})")
def answer_to(world: World, which: str) -> str:
    """Wait for the answer to what was started."""
    return world.receive(world.get(which))


# --- time ------------------------------------------------------------------------------------


@says(r"(?P<count>\d+) (?P<unit>ms|s|min|h) pass(?:es)?")
def passes(world: World, count: str, unit: str) -> None:
    """Time passes at once, on every clock of the house."""
    world.house.pass_time(int(count) * UNITS[unit])


# --- the broker ------------------------------------------------------------------------------


@says(r"the broker (?P<how>hangs|goes on)")
def broker_does(world: World, how: str) -> None:
    """`hangs`: the next call stands still until the broker `goes on`."""
    if how == "hangs":
        world.notes["hang"] = world.house.broker.hang()
        return
    world.house.broker.let_go()


@says(r"the broker (?P<how>loses|rejects|did but loses) the next one")
def broker_plans(world: World, how: str) -> None:
    """No answer comes, whether or not it was done; or a definite no."""
    step = rejects() if how == "rejects" else loses(executed=how == "did but loses")
    world.house.broker.plan.append(step)


@says(r"the broker stands still")
def stands_still(world: World) -> None:
    """Wait until an order has reached the broker that hangs."""
    hang = world.notes["hang"]
    assert isinstance(hang, Hang)
    hang.wait_entered()


_TIMES: Final = ("never", "once", "twice")


@says(rf"the broker began (?P<which>{NAME})")
def began(world: World, which: str) -> str:
    """How often the broker was asked for an order: never, once, twice, 3 times."""
    if which == "anything":
        count = sum(line.phase == "begin" for line in world.house.lines())
    else:
        count = world.house.broker.begun(world.get(which).rid)
    return _TIMES[count] if count < len(_TIMES) else f"{count} times"
