"""Writes the generated parts of protocol.md: `python -m tests.protocol_tables --write`.

Every table that exists as data in the code is drawn from it, between the markers
`<!-- generated: name -->` and `<!-- /generated -->`; a test fails when the page has drifted.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from bridge_core.host.ledger import LedgerLine
from bridge_core.protocol import events, replies, token, views
from bridge_core.protocol.alerts import ALERTS
from bridge_core.protocol.chain import Record
from bridge_core.protocol.code_table import CODES
from bridge_core.protocol.codes import FINAL, ReasonCode, Status
from bridge_core.protocol.keys import purposes, request_purpose
from bridge_core.protocol.limits import LIMITS
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose, Scope, granted
from bridge_server.core.orders import LIFE, TRANSITIONS, OrderState
from bridge_server.core.trading_state import CAUSES, MATRIX, Act, TradingState
from tests.support.glossary import note_of
from tests.support.risk_tables import controls, settings
from tests.support.shapes import bound, code, default, fields, shape, table
from tests.vectors import examples

__all__ = ["BLOCKS", "PAGE", "main", "render"]

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "protocol.md"
_MARK: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)


# --- the blocks ------------------------------------------------------------------------------


def grammar() -> str:
    """The four token grammars as they are in the code."""
    rows = (("request", token._REQUEST), ("reply", token._REPLY), ("event", token._EVENT),
            ("EA record", token._EA_RECORD))  # fmt: skip
    return "\n\n".join(
        f"{name}:\n\n```text\n{pattern.pattern.decode()}\n```" for name, pattern in rows
    )


def scopes() -> str:
    """Which scope may ask which operation, and with which key."""
    rows = []
    for op in Op:
        cells = []
        for scope in Scope:
            srv, executor = request_purpose(op, scope)
            names = f"`{srv}`" + (f" `{executor}`" if executor else "")
            cells.append(names if op in granted(scope) else "no")
        rows.append((op.value, *cells))
    return table(("operation", *(scope.value for scope in Scope)), rows)


def key_sets() -> str:
    """Which keys a set of each scope has."""
    rows = [
        (
            scope.value,
            " ".join(code(p) for p in purposes(scope, ea=False)),
            " ".join(code(p) for p in purposes(scope, ea=True) if p is Purpose.REPLY_EA),
        )
        for scope in Scope
    ]
    return table(("scope", "keys", "also on accounts with an EA"), rows)


def operations() -> str:
    """The operation table."""
    rows = [
        (
            op.value,
            code(spec.prefix),
            code(spec.purpose),
            code(spec.purpose_ea) if spec.purpose_ea else "-",
            spec.lane.value,
            spec.replay.value,
            spec.body.__name__,
        )
        for op, spec in OPERATIONS.items()
    ]
    head = (
        "operation",
        "prefix",
        "key of mac-srv",
        "key of mac-ea",
        "lane",
        "replay class",
        "body",
    )
    return table(head, rows)


def bodies() -> str:
    """Every request body: fields in wire order with type, bound, unit, meaning; an example."""
    parts: list[str] = []
    seen: set[type] = set()
    for op, spec in OPERATIONS.items():
        if spec.body in seen:
            continue
        seen.add(spec.body)
        users = ", ".join(o.value for o, s in OPERATIONS.items() if s.body is spec.body)
        rows = []
        for field in fields(spec.body):
            note = note_of(spec.body.__name__, field.encode_name)
            rows.append((code(field.encode_name), *bound(field.type), note.unit, note.means))
        raw = msgspec.json.encode(examples.BODIES[op]).decode()
        parts.append(
            f"**{spec.body.__name__}** ({users})\n\n"
            + table(("field", "JSON", "bound", "unit", "meaning"), rows)
            + f"\n\n```json\n{raw}\n```"
        )
    return "\n\n".join(parts)


def _structs() -> list[type[msgspec.Struct]]:
    found = [
        kind
        for module in (replies, views)
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, views.Reply)
        and kind is not views.Reply
        and kind.__module__ == module.__name__
    ]
    return list(dict.fromkeys(found))


def _described(kind: type[msgspec.Struct]) -> str:
    rows = []
    for field in fields(kind):
        note = note_of(kind.__name__, field.encode_name)
        rows.append(
            (
                code(field.encode_name),
                shape(field.type, note.unit),
                default(field),
                note.unit,
                note.means,
            )
        )
    return table(("field", "JSON", "when absent", "unit", "meaning"), rows)


def reply_bodies() -> str:
    """Every struct that a reply body is made of."""
    return "\n\n".join(f"**{kind.__name__}**\n\n{_described(kind)}" for kind in _structs())


def event_body() -> str:
    """The one body that every event has."""
    return _described(events.EventBody)


def statuses() -> str:
    """The statuses: final or not."""
    rows = [(status.value, "yes" if status in FINAL else "no") for status in Status]
    return table(("status", "final"), rows)


def order_states() -> str:
    """The order states as a diagram and as a table."""
    edges: dict[tuple[OrderState, OrderState], list[str]] = {}
    for (source, event), target in TRANSITIONS.items():
        edges.setdefault((source, target), []).append(event.value)
    starts = {
        OrderState.ACCEPTED: "queued",
        OrderState.DISPATCHING: "nothing waits",
        OrderState.DENIED: "refused, or FENCE of an unseen rid",
        OrderState.UNKNOWN: "FENCE of an unseen rid of an earlier incarnation",
        OrderState.DONE: "RESUME, SETTLE",
    }
    diagram = ["```mermaid", "stateDiagram-v2"]
    diagram += [f"    [*] --> {state}: {when}" for state, when in starts.items()]
    diagram += [
        f"    {source} --> {target}: {', '.join(names)}"
        for (source, target), names in edges.items()
    ]
    rows = [
        (source.value, event.value, target.value) for (source, event), target in TRANSITIONS.items()
    ]
    return "\n".join([*diagram, "```", "", table(("state", "event", "becomes"), rows)])


def lives() -> str:
    """What may become of a WORKING order."""
    rows = [
        (life.value, ", ".join(sorted(nxt.value for nxt in follow)) or "(end)")
        for life, follow in LIFE.items()
    ]
    return table(("life", "may become"), rows)


def codes() -> str:
    """The codes in order of precedence."""
    rows = [
        (str(n), code(one.value), info.meaning, info.by, info.retry, info.fix)
        for n, (one, info) in enumerate(CODES.items())
        if one is not ReasonCode.NONE
    ]
    return table(("", "code", "meaning", "said by", "retry", "fix"), rows)


def alerts() -> str:
    """The alerts, and what to do about each."""
    rows = [
        (code(one.value), row.severity.value, row.meaning, row.by, row.fix)
        for one, row in ALERTS.items()
    ]
    return table(("code", "severity", "meaning", "said by", "what to do"), rows)


def limits() -> str:
    """The limits."""
    rows = [(limit.name, str(limit.value), limit.unit, limit.reason) for limit in LIMITS]
    return table(("limit", "value", "unit", "reason"), rows)


def causes() -> str:
    """The causes that lower the trading state."""
    rows = [
        (
            code(cause.value),
            spec.kind.value,
            spec.state.value,
            f"{spec.linger_ms} ms" if spec.linger_ms else "-",
            spec.ends.format(cause=cause.value),
        )
        for cause, spec in CAUSES.items()
    ]
    return table(("cause", "kind", "means", "lingers", "what ends it"), rows)


def matrix() -> str:
    """Trading state x operation."""
    rows = [(state.value, *(MATRIX[state, act] for act in Act)) for state in TradingState]
    return table(("state", *(act.value for act in Act)), rows)


_RECORD: Final = {
    "ts": "UTC ms of the change",
    "kind": "START STOP ORDER FENCE LIFE STATE RESUME SETTLE; EA: its record came later (14)",
    "rid": "the order concerned",
    "op": "its operation",
    "state": "its state after the change (7.1)",
    "code": "its code, if any",
    "data": "further facts, names and values as text",
}


def record() -> str:
    """The fields of a log record, in order."""
    rows = [
        (code(f.encode_name), shape(f.type, ""), default(f), _RECORD[f.encode_name])
        for f in fields(Record)
    ]
    return table(("field", "JSON", "when absent", "meaning"), rows)


_LEDGER: Final = {
    "v": "version of the format",
    "phase": "`start`, `begin` or `end`",
    "n": "number of the act, from 1; begin and end of one act share it, a start carries the last",
    "wall_ms": "wall time, UTC ms",
    "market_ms": "market time, UTC ms; 0 before the first price",
    "op": "OPEN CLOSE MODIFY CANCEL; empty in a start line",
    "magic": "the magic the broker shows of it (5.7)",
    "comment": "the comment the broker shows of it (5.7)",
    "deadline_wall_ms": "its deadline, UTC ms",
    "fields": "begin: the values as the broker took them; decimals as text",
    "result": "end: what came of it. start: `comment_chars` and `source`",
}


def ledger() -> str:
    """The fields of a line of the paper ledger, in order."""
    rows = [
        (code(f.encode_name), shape(f.type, ""), _LEDGER[f.encode_name]) for f in fields(LedgerLine)
    ]
    return table(("field", "JSON", "meaning"), rows)


def _vector(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "tests/vectors" / name).read_text("ascii"))
    return content


def worked_example() -> str:
    """One signed order, step by step, from the vectors."""
    case = next(one for one in _vector("requests.json")["cases"] if one["op"] == "OPEN")
    held = next(
        one
        for one in _vector("keys.json")["cases"]
        if (one["kid"], one["mode"], one["acct"], one["purpose"])
        == (case["parts"]["kid"], "paper", "demo", case["purpose"])
    )
    head, body = case["token"][:-64], case["body"]
    return "\n".join(
        [
            "```text",
            f"root key  {held['root']}",
            f"info of  {held['mode']} {held['acct']} {held['kid']} {held['purpose']}",
            f"key       {held['key']}",
            f"head      {head}",
            f"body      {body}",
            "input     7a7462726964676500 6d616300 763500",
            f"          {len(held['purpose']):02x} {held['purpose'].encode().hex()}",
            f"          {len(head):04x} (head)  {len(body):08x} (body)",
            f"mac-srv   {case['token'][-64:]}",
            f"F1        {case['token']}",
            f"req-hash  {case['req_hash']}",
            "```",
        ]
    )


BLOCKS: Final[dict[str, Callable[[], str]]] = {
    "grammar": grammar,
    "scopes": scopes,
    "key-sets": key_sets,
    "worked-example": worked_example,
    "operations": operations,
    "bodies": bodies,
    "reply-bodies": reply_bodies,
    "event-body": event_body,
    "statuses": statuses,
    "order-states": order_states,
    "lives": lives,
    "controls": controls,
    "settings": settings,
    "codes": codes,
    "limits": limits,
    "alerts": alerts,
    "causes": causes,
    "matrix": matrix,
    "record": record,
    "ledger": ledger,
}


def render(page: str) -> str:
    """Return the page with every generated block drawn anew."""
    return _MARK.sub(lambda found: f"{found[1]}\n{BLOCKS[found[2]]()}\n\n{found[3]}", page)


def main(arguments: list[str]) -> int:
    """Write the page, or say whether it has drifted."""
    old = PAGE.read_text(encoding="utf-8")
    new = render(old)
    if arguments == ["--write"]:
        PAGE.write_text(new, encoding="utf-8", newline="\n")
        return 0
    print("protocol.md is up to date" if new == old else "protocol.md has drifted: use --write")
    return int(new != old)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
