"""Steps about events: forged, lost, repeated, in the wrong order, in floods, or none at all."""

from __future__ import annotations

import time
from typing import Final

from bridge_client import Alert, EventFeed, Resync, Tick
from bridge_client.facts import Fact
from bridge_core.host.keyfiles import random_key
from bridge_core.protocol.events import EventBody, event_topic, tick_topic
from bridge_core.protocol.limits import MAC_HEX
from bridge_core.protocol.operations import Purpose
from bridge_core.protocol.replies import encode_reply
from bridge_core.protocol.signing import Frames, sign_event
from bridge_core.protocol.token import EventToken
from tests.acceptance.connectors import connector_of
from tests.acceptance.language import says
from tests.acceptance.liar import Liar
from tests.acceptance.steps_bytes import COUNT, times
from tests.acceptance.steps_replies import flip_bit, liar_of
from tests.acceptance.world import World
from tests.support.fake_kit import ACCT
from tests.support.running import wait_until

_HEAR_S: Final = 0.2
_TURNS: Final = 60


@says(r"its strategy listens")
def listens(world: World) -> str:
    """Subscribe to the account's events and EURUSD's ticks."""
    feed = connector_of(world).events("EURUSD", timeout=_HEAR_S)
    world.at_end(feed.end)
    world.notes["feed"] = feed
    assert feed.ready()
    return "ready"


def feed_of(world: World) -> EventFeed:
    """Return the strategy's feed."""
    feed = world.notes.get("feed")
    assert isinstance(feed, EventFeed), "nobody listens"
    return feed


def _name(fact: Fact) -> str:
    match fact:
        case Tick():
            return f"tick {fact.exact['bid']}" + (f" after {fact.missed}" if fact.missed else "")
        case Alert():
            return f"{fact.code or 'alert'} {fact.message}".strip()
        case Resync():
            return "resync"
        case _:
            return type(fact).__name__


@says(r"the strategy hears")
def hears(world: World) -> str:
    """Return every event so far: `one; two`, or `nothing`.

    A closing event is published until it is heard, so a slow machine hears no less.
    """
    liar, feed = liar_of(world), feed_of(world)
    heard: list[str] = []
    for turn in range(_TURNS):
        liar.event(_alert(f"end{turn}"))
        while (fact := next(feed)) is not None:
            if _name(fact).startswith("NOTE end"):
                return "; ".join(heard) or "nothing"
            heard.append(_name(fact))
    return "; ".join([*heard, "and no end"])


def _alert(text: str) -> EventBody:
    return EventBody(type="alert", level="info", code="NOTE", message=text)


def _stream(liar: Liar) -> str:
    return f"srv-{liar.inc}"


def _publish(liar: Liar, token: EventToken, body: EventBody, **how: bytes | Purpose) -> None:
    key, purpose = how.get("key", liar.kit.event_key), how.get("purpose", Purpose.EVENT_SRV)
    assert isinstance(key, bytes)
    assert isinstance(purpose, Purpose)
    frames = sign_event(token, encode_reply(body), key, purpose)
    liar._tell.append((event_topic(ACCT), frames))


@says(r"it publishes (?P<texts>[a-z]+(?: and [a-z]+)*)")
def publishes(world: World, texts: str) -> None:
    """Publish events by their words, in order."""
    for text in texts.split(" and "):
        liar_of(world).event(_alert(text))


@says(r"it loses (?P<texts>[a-z]+(?: and [a-z]+)*) on the way")
def loses(world: World, texts: str) -> None:
    """Number events and never send them."""
    for text in texts.split(" and "):
        liar_of(world).event(_alert(text), lose=True)


_FORGED_EVENTS: Final = (
    "under a random key", "under the reply key", "of account other", "of another key id",
    "of the EA's stream", "with a bit of its token flipped", "with a bit of its body flipped",
    "without a MAC",
)  # fmt: skip


@says(rf"it publishes a forgery (?P<how>{'|'.join(_FORGED_EVENTS)})")
def forges_event(world: World, how: str) -> None:
    """Publish an event with the next number that is not what it says."""
    liar = liar_of(world)
    stream, seq = _stream(liar), liar.seqs[_stream(liar)] + 1
    token = EventToken("ev1", ACCT, stream, seq, liar.now_ms())
    true = sign_event(token, encode_reply(_alert("forged")), liar.kit.event_key)
    match how:
        case "under a random key":
            _publish(liar, token, _alert("forged"), key=random_key())
        case "under the reply key":
            _publish(liar, token, _alert("forged"), key=liar.keys.keys[Purpose.REPLY_SRV])
        case "of account other":
            _publish(liar, token._replace(acct="other"), _alert("forged"))
        case "of another key id":
            _publish(liar, token._replace(kid="ev2"), _alert("forged"))
        case "of the EA's stream":
            _publish(liar, token._replace(stream="ea-1", seq=1), _alert("forged"))
        case _:
            liar._tell.append((event_topic(ACCT), _bent(true, how)))


def _bent(true: Frames, how: str) -> Frames:
    if how == "without a MAC":
        return Frames(true.token[:-MAC_HEX] + b"-", true.body)
    if "token" in how:
        return Frames(flip_bit(true.token, 8 * 30), true.body)
    return Frames(true.token, flip_bit(true.body, 8 * 40))


@says(r"it publishes (?P<text>[a-z]+) (?P<count>\d+) times over")
def repeats(world: World, text: str, count: str) -> None:
    """Publish the same bytes several times."""
    liar = liar_of(world)
    liar.event(_alert(text))
    liar._tell += [liar._tell[-1]] * (int(count) - 1) if liar._tell else []


@says(r"it publishes number (?P<ahead>\d+) as (?P<text>[a-z]+)")
def numbered(world: World, ahead: str, text: str) -> None:
    """Publish under a number, counted from where the stream stood when the strategy came in."""
    liar = liar_of(world)
    start = world.notes.setdefault("start", liar.seqs[_stream(liar)])
    assert isinstance(start, int)
    seq = start + int(ahead)
    liar.seqs[_stream(liar)] = max(seq, liar.seqs[_stream(liar)])
    _publish(liar, EventToken("ev1", ACCT, _stream(liar), seq, liar.now_ms()), _alert(text))


@says(r"it falls silent")
def silent(world: World) -> None:
    """Publish nothing any more, not even heartbeats."""
    liar_of(world).heartbeats = False


@says(r"it is heard again")
def heard_again(world: World) -> None:
    """Publish heartbeats again."""
    liar_of(world).heartbeats = True


@says(r"within (?P<count>[0-9.]+) s the strategy hears (?P<text>[A-Za-z_]+)")
def hears_within(world: World, count: str, text: str) -> str:
    """Whether something is heard in time."""
    feed, until = feed_of(world), time.monotonic() + float(count)
    while time.monotonic() < until:
        fact = next(feed)
        if fact is not None and _name(fact).startswith(text):
            return "in time"
    return "not in time"


@says(rf"it floods the strategy with {COUNT} ticks")
def tick_flood(world: World, count: str, soak: str = "") -> None:
    """Publish as fast as it can; nobody reads meanwhile."""
    liar = liar_of(world)
    number = times(count, soak)
    stream = f"tick-{liar.inc}-EURUSD"
    made = []
    for seq in range(1, number + 1):
        body = EventBody(type="tick", symbol="EURUSD", bid=f"1.{seq:06d}", ask="2", time=seq)
        token = EventToken("ev1", ACCT, stream, seq, liar.now_ms())
        frames = sign_event(token, encode_reply(body), liar.kit.event_key)
        made.append((tick_topic(ACCT, "EURUSD"), frames))
    liar.seqs[stream] = number
    world.notes["flood"] = number
    liar._tell += made


@says(r"every tick is heard or counted as missed")
def flood_heard(world: World) -> str:
    """Read what is left of the flood after it ended; the gaps must add up."""
    liar, feed = liar_of(world), feed_of(world)
    number = world.notes["flood"]
    assert isinstance(number, int)
    wait_until(lambda: not liar._tell, 60)
    body = EventBody(type="tick", symbol="EURUSD", bid="9.000000", ask="9.1", time=number + 1)
    heard, missed, last, published = 0, 0, "", number
    while last != "9.000000" and published < number + _TURNS:
        # What the reader left standing was dropped, perhaps the closing tick as well.
        fact = next(feed)
        if fact is None:
            liar.event(body)
            published += 1
        elif isinstance(fact, Tick):
            heard, missed, last = heard + 1, missed + fact.missed, fact.exact["bid"]
    # The one that was heard is any of the closing ticks.
    adds_up = number < heard + missed <= published
    return "yes" if adds_up else f"{heard} heard, {missed} missed of {published}"
