"""The Advisor's trading desk in the simulated terminal, without a link.

`TradeDesk` runs programs/trade_main.mq4: signed frames in, words out. Time is the terminal's:
`advance` moves its clocks and the signer's together, so no test waits for a settling time.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from bridge_core.protocol.codes import Status
from bridge_core.protocol.messages import Cancel, Close, Fence, Flatten, Modify, Open, Request
from bridge_core.protocol.operations import Op, Purpose, Scope
from bridge_core.protocol.signing import Frames, ea_record_mac_holds, order_hash
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import EaRecord, parse_ea_record, parse_request
from tests.mql4.terminal import BrokerTerms, SymbolTerms, Terminal
from tests.support.fake_ea_relay import House, kid_of, write_keys

__all__ = [
    "ACCT", "PAST_FENCE_MS", "SETTLE_MS", "TradeDesk", "Word", "an_open", "cancel", "close", "ecn",
    "modify",
]  # fmt: skip

ACCT: Final = "demo"
SETTLE_MS: Final = 2_000
PAST_FENCE_MS: Final = 1_100  # clock_skew_ms_max after the start, and a little
_UNUSED_PORT: Final = 5557
Word = dict[str, Any]


def an_open(**changes: Any) -> Open:
    """Return a market BUY of 0.10 EURUSD without stops; `changes` replace fields."""
    fields: dict[str, Any] = {
        "client_order_id": secrets.token_hex(8), "client": "atlas", "symbol": "EURUSD",
        "type": "BUY", "volume": "0.10", "price": "0", "sl": "0", "tp": "0", "deviation": 20,
        "expiration": 0, "stops_fail": "KEEP", "strategy": 0, "comment": "first",
    }  # fmt: skip
    return Open(**{**fields, **changes})


def close(ticket: int, volume: str = "0", **changes: Any) -> Close:
    """Return the CLOSE of a ticket."""
    fields: dict[str, Any] = {
        "client_order_id": secrets.token_hex(8), "client": "atlas", "ticket": ticket,
        "symbol": "EURUSD", "volume": volume, "deviation": 20,
    }  # fmt: skip
    return Close(**{**fields, **changes})


def modify(ticket: int, **changes: Any) -> Modify:
    """Return the MODIFY of a ticket that has no stops yet."""
    fields: dict[str, Any] = {
        "client_order_id": secrets.token_hex(8), "client": "atlas", "ticket": ticket, "price": "0",
        "sl": "0", "tp": "0", "old_sl": "0", "old_tp": "0", "expiration": 0,
    }  # fmt: skip
    return Modify(**{**fields, **changes})


def cancel(ticket: int) -> Cancel:
    """Return the CANCEL of a ticket."""
    return Cancel(client_order_id=secrets.token_hex(8), client="atlas", ticket=ticket)


def ecn() -> BrokerTerms:
    """Return a broker that takes no stops with the entry."""
    return BrokerTerms(symbols=(SymbolTerms(name="EURUSD", ecn=True), SymbolTerms(name="USDJPY")))


class TradeDesk:
    """One terminal with the desk in it; a context manager that ends and judges it."""

    def __init__(
        self,
        folder: Path,
        inputs: Mapping[str, str | int | float | bool] | None = None,
        terms: BrokerTerms | None = None,
        *,
        quotes: bool = True,
    ) -> None:
        self.house = House(_UNUSED_PORT)
        wanted = {
            "ExpectedAccount": 12345678, "ExpectedServer": "Broker-Demo",
            "SettleSeconds": SETTLE_MS // 1000, **(inputs or {}),
        }  # fmt: skip
        self.terminal = Terminal(
            folder, inputs=wanted, terms=terms, source="programs/trade_main.mq4"
        )
        self._quoted = quotes
        first = self.terminal.terms.symbols[0]
        self.price = (first.bid, first.ask)
        self.signed: dict[str, tuple[Op, Request, int]] = {}
        self._advanced_ms = 0
        self._number = 0

    def __enter__(self) -> Self:
        self._grow_old()
        write_keys(self.house, self.terminal.files)
        self.start()
        if self._quoted:
            self.quotes()
        return self

    def _grow_old(self) -> None:
        """Let the account be older than the Advisor: its deposit is an hour ago."""
        assert self.terminal.start() != 0, "without a key file it must not start"
        self.terminal.kill()
        self.terminal.prints.clear()
        self._advance_all(3_600_000)

    def _advance_all(self, ms: int) -> None:
        self.terminal.command("advance", ms)
        self._advanced_ms += ms

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.terminal.stop()
        else:
            self.terminal.kill()

    # --- life and time -------------------------------------------------------------------------

    def start(self) -> None:
        """Start the terminal and let the boot fence pass for what is signed from now on."""
        (self.terminal.files / "trade_in.txt").unlink(missing_ok=True)
        assert self.terminal.start() == 0, self.terminal.prints
        self.advance(PAST_FENCE_MS)

    def die(self) -> None:
        """End the terminal as a power cut would, and start it again."""
        self.terminal.kill()
        self.start()

    def advance(self, ms: int) -> None:
        """Move every clock."""
        self._advance_all(ms)

    def quotes(self) -> None:
        """Let two quotes come, a second apart: from them the Advisor knows the broker's zone."""
        bid, ask = self.price
        for _ in range(2):
            self.advance(1_100)
            self.terminal.command("price", "EURUSD", bid, ask)
            self.ask("state")
        self.terminal.prints.clear()

    def now_ms(self) -> int:
        """The signer's clock, UTC ms."""
        return time.time_ns() // 1_000_000 + self._advanced_ms

    def market_ms(self) -> int:
        """The broker's clock as UTC, whole seconds in ms."""
        return self.now_ms() // 1000 * 1000

    # --- asking --------------------------------------------------------------------------------

    def ask(self, verb: str, *words: object) -> str:
        """Give one command to the program and return its answer."""
        self.post(verb, *words)
        mark = f"A {self._number} "
        said = self.terminal.prints
        self.terminal.wait_for(lambda: any(one.startswith(mark) for one in said[-40:]))
        answer: str = next(one for one in reversed(said) if one.startswith(mark))
        return answer[len(mark) :]

    def post(self, verb: str, *words: object) -> None:
        """Give one command, without awaiting its answer (the terminal may die of it)."""
        self._number += 1
        text = " ".join([str(self._number), verb, *(str(word) for word in words)])
        fresh = self.terminal.files / "trade_in.new"
        fresh.write_text(text, "ascii")
        fresh.replace(self.terminal.files / "trade_in.txt")
        self.terminal.command("tick")

    def sign(
        self, op: Op, body: Request | bytes, scope: Scope = Scope.TRADE, **changes: Any
    ) -> Frames:
        """Return signed frames of this moment; `changes` replace parts of the token."""
        changes = {"rid": secrets.token_hex(16), "iat": self.now_ms(), **changes}
        frames = self.house.signers[scope].sign(op, body, **changes)
        if isinstance(body, Request):
            self.signed[changes["rid"]] = (op, body, changes["iat"])
        return frames

    def run(self, frames: Frames, ticket: int = 0) -> Word:
        """EXEC the frames and return the verified word."""
        answer = self.ask("exec", 7, ticket, frames.token.hex(), frames.body.hex())
        assert answer != "dropped"
        return self.verified(answer, frames)

    def order(self, op: Op, body: Request | bytes, **changes: Any) -> Word:
        """Sign, EXEC and return the verified word."""
        return self.run(self.sign(op, body, **changes))

    def opened(self, **changes: Any) -> Word:
        """Return the word of a market order that must fill."""
        word = self.order(Op.OPEN, an_open(**changes))
        assert word["status"] in (Status.FILLED, Status.WORKING), word
        return word

    def status(self, rid: str) -> Word:
        """STATUS of a request id."""
        return self.verified(self.ask("status", rid))

    def tombstone(self, rid: str) -> Word:
        """TOMBSTONE of a request id under the trade set."""
        return self.verified(self.ask("tombstone", rid, kid_of(Scope.TRADE)))

    def fence(self, rid: str, **changes: Any) -> Word:
        """FORWARD a FENCE of a request id."""
        body = Fence(rid=rid, inc="00112233445566ff", iat=self.now_ms(), symbol="EURUSD")
        frames = self.sign(Op.FENCE, body, **changes)
        return self.verified(self.ask("forward", frames.token.hex(), frames.body.hex()))

    def forward(self, op: Op, body: Request, **changes: Any) -> Word:
        """FORWARD a stop operation or a heartbeat; return the state."""
        frames = self.sign(op, body, **changes)
        state: Word = json.loads(self.ask("forward", frames.token.hex(), frames.body.hex()))
        return state

    def turn(self, count: int = 1) -> int:
        """Let the desk turn; return how many outcomes are still looked for."""
        return int(self.ask("turn", count))

    def settle(self) -> None:
        """Let two looks, a settling time apart, happen."""
        self.advance(1_100)  # a look a second
        self.turn(4)
        self.advance(SETTLE_MS + 100)
        self.turn(4)

    def alerts(self) -> list[str]:
        """Take the alerts raised so far."""
        return [one for one in self.ask("alerts").split("|") if one]

    # --- judging -------------------------------------------------------------------------------

    def verified(self, answer: str, frames: Frames | None = None) -> Word:
        """Return a word after checking that its record, if any, is attested and says the same."""
        word: Word = json.loads(answer)
        if word["status"] in ("UNKNOWN", "NOT_SEEN"):
            assert (word["record"], word["mac"]) == ("", "-")
            return word
        record = self.record(word)
        assert (record.rid, record.status, record.code) == (
            word["rid"], word["status"], word["code"],
        )  # fmt: skip
        # Only the word about what never arrived is about no order.
        if frames is not None and record.op != Op.FENCE:
            token = parse_request(frames.token)
            assert token is not None
            assert record.order_hash == order_hash(frames, token)
        return word

    def record(self, word: Word) -> EaRecord:
        """Return the record of a final word, its MAC checked with `reply<ea`."""
        record = parse_ea_record(word["record"].encode("ascii"))
        assert record is not None, word
        scopes = {kid_of(scope): scope for scope in Scope}
        key = self.house.bundles[scopes[record.kid]].key_set().keys[Purpose.REPLY_EA]
        assert ea_record_mac_holds(key, word["record"].encode("ascii"), word["mac"])
        return record

    def submitted(self, rid: str) -> list[Mapping[str, Any]]:
        """The broker calls that carry the tag of a request id."""
        magic = make_tag(ACCT, rid).mt4_magic
        return [line for line in self.terminal.submissions("OPEN") if line["magic"] == magic]

    def journal(self) -> bytes:
        """What is on disk of the Advisor's journal."""
        return (self.terminal.files / f"bridge-{ACCT}.journal").read_bytes()

    def calls(self) -> int:
        """How many broker calls were ever begun."""
        return len(self.terminal.submissions())

    def flatten(self, **changes: Any) -> Frames:
        """Return the frames of a FLATTEN of everything."""
        fields: dict[str, Any] = {
            "client_order_id": secrets.token_hex(8), "client": "atlas", "scope": "ALL",
            "symbol": "", "reason": "end of day",
        }  # fmt: skip
        token = changes.pop("token", {})
        return self.sign(Op.FLATTEN, Flatten(**{**fields, **changes}), **token)
