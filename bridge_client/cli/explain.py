"""`ztb explain CODE`: meaning, who sends it, whether to retry, the fix. Nothing is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge_client.cli.arguments import nearest
from bridge_client.cli.exits import UsageError
from bridge_client.cli.output import Answer
from bridge_core.protocol.alerts import ALERTS, AlertCode, severity_of
from bridge_core.protocol.code_table import CODES
from bridge_core.protocol.codes import CodeInfo, ReasonCode, Status

if TYPE_CHECKING:
    from bridge_client.cli.main import Context

__all__ = ["STATUSES", "run"]

_S = Status
_RESULT: Final = "nothing"
STATUSES: Final[dict[Status, CodeInfo]] = {
    _S.OK: CodeInfo("the question was answered", "server", "-", _RESULT),
    _S.FILLED: CodeInfo("executed in full", "server, broker", "no", _RESULT),
    _S.PARTIAL: CodeInfo(
        "executed in part; the rest is not working", "server, broker", "the rest, as a new order",
        "look at `remaining_volume`",
    ),
    _S.WORKING: CodeInfo(
        "a pending order rests at the broker", "server, broker", "no", "`ztb pending` shows it"
    ),
    _S.DONE: CodeInfo("a change was carried out", "server, broker", "no", _RESULT),
    _S.REJECTED: CodeInfo(
        "the broker said no; nothing was executed", "broker", "as the code says",
        "`ztb explain` with the code beside it",
    ),
    _S.DENIED: CodeInfo(
        "we said no, or it is proven that nothing happened", "connector, server, executor",
        "as the code says", "`ztb explain` with the code beside it",
    ),
    _S.PENDING: CodeInfo(
        "on its way; the outcome is not known yet", "server, connector", "never",
        "`ztb wait ORDER` before anything else",
    ),
    _S.UNKNOWN: CodeInfo(
        "nobody can tell yet whether it was executed; it is not a failure", "server, connector",
        "never", "`ztb wait ORDER`, or `ztb fence ORDER`; `ztb settle` is the last resort",
    ),
}  # fmt: skip

assert set(STATUSES) == set(Status)


def _table() -> dict[str, tuple[str, CodeInfo]]:
    """Return every word by name; where several share a name the code wins, then the status."""
    rows = {str(status): ("status", info) for status, info in STATUSES.items()}
    rows |= {
        str(code): ("code", info) for code, info in CODES.items() if code is not ReasonCode.NONE
    }
    for alert, row in ALERTS.items():
        told = CodeInfo(row.meaning, row.by, "-", row.fix)
        rows.setdefault(str(alert), ("alert", told))
    return rows


def _row(word: str, kind: str, info: CodeInfo) -> dict[str, str]:
    return {
        "code": word,
        "kind": kind,
        "meaning": info.meaning,
        "by": info.by,
        "retry": info.retry,
        "fix": info.fix,
        "alert": severity_of(word) if word in list(AlertCode) else "",
    }


def run(ctx: Context) -> Answer:
    """Explain one code, or list them all."""
    table = _table()
    if ctx.args.code is None:
        rows = [_row(word, *found) for word, found in table.items()]
        ctx.out.table(("CODE", "MEANING"), [(row["code"], row["meaning"]) for row in rows])
        return Answer(0, {"codes": rows})
    word = ctx.args.code.upper().replace("-", "_")
    if word not in table:
        hint = nearest(word, table)
        raise UsageError(
            f"there is no code {ctx.args.code!r}{hint}; `ztb explain` lists all", "NO_CODE"
        )
    row = _row(word, *table[word])
    ctx.out.fields(
        [
            (row["kind"], word),
            ("meaning", row["meaning"]),
            ("sent by", row["by"]),
            ("retry", row["retry"]),
            ("fix", row["fix"]),
            ("as an alert", row["alert"]),
        ]
    )
    return Answer(0, row)
