"""No alert is raised anywhere under a code that the table does not have (protocol.md 10)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bridge_core.protocol.alerts import ALERTS, AlertCode
from bridge_core.protocol.codes import ReasonCode
from bridge_server.core.trading_state import CAUSES, Cause
from tests.support.architecture import PACKAGES

ROOT = Path(__file__).resolve().parent.parent
# What raises an alert, by the name of the call; its first argument is the code.
_CALLS = {"alert", "_alert", "alarm", "_alarm", "Alarm", "_warn"}
# Those that only pass on what they were given: the code is a variable there.
_PASS_ON = {
    "bridge_client/alarms.py", "bridge_client/events.py", "bridge_client/opening.py",
    "bridge_client/cli/alerts.py", "bridge_core/host/alert_trial.py", "bridge_server/admin.py",
    "bridge_server/alarms.py", "bridge_server/attesting.py", "bridge_server/backends/ea_side.py",
    "bridge_server/backends/paper.py", "bridge_server/telling.py", "bridge_core/host/outbox.py",
    "bridge_server/orphans.py", "bridge_server/risk_keeper.py",
}  # fmt: skip
_RAISE = re.compile(
    r'(?:Raise|m_pump\.Alert)\(\s*"(\w+)",\s*(?:"(\w+)"|((?:CODE|CAUSE|ALERT)_\w+))'
)
_DEFINED = {"CAUSE_HEARTBEAT": "HEARTBEAT", "ALERT_LEFT": "DEAD_MAN_LEFT"}
_ANY_RAISE = re.compile(r"\balerts\.Raise\(|m_pump\.Alert\(")


class Raised(NamedTuple):
    """One place that raises an alert; `code` None: it is a variable."""

    place: str
    code: str | None


def _word(node: ast.expr, constants: dict[str, str]) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            return constants.get(name)
        case ast.Attribute(value=ast.Name(id="Cause" | "AlertCode" | "ReasonCode"), attr=name):
            return name
    return None


def _constants(tree: ast.Module) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in tree.body:
        match node:
            case (
                ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                | ast.Assign(targets=[ast.Name(id=name)], value=value)
            ):
                word = _word(value, {})
                if word is not None:
                    found[name] = word
    return found


def _raised(tree: ast.Module, place: str) -> Iterator[Raised]:
    constants = _constants(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        where = f"{place}:{node.lineno}"
        if name in _CALLS and node.args:
            yield Raised(where, _word(node.args[0], constants))
        elif (name == "EventBody" and _word(given.get("type", node), {}) == "alert") or (
            name == "Alert" and "code" in given
        ):
            yield Raised(where, _word(given["code"], constants))


def _everywhere() -> list[Raised]:
    found: list[Raised] = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            found += _raised(ast.parse(path.read_text("utf-8")), place)
    return found


def test_every_alert_of_the_servers_and_connectors_is_in_the_table() -> None:
    found = _everywhere()
    outside = [one for one in found if one.code is not None and one.code not in list(AlertCode)]
    assert not outside
    hidden = {one.place.split(":")[0] for one in found if one.code is None}
    assert hidden <= _PASS_ON, hidden - _PASS_ON
    seen = {one.code for one in found}
    assert {"UNKNOWN", "EA_CONTRADICTS", "SERVER_LIED", "LOG_FORK", "STREAM_STALE", "PRICES",
            "JOURNAL_FATAL", "EA_LIED", "STOPS_NOT_SET"} <= seen  # fmt: skip


def test_a_planted_code_is_found() -> None:
    tree = ast.parse('X: Final = "NEW"\nself.tell.alert(X, "y")\nAlert(code="Z")\nalert(code, 1)')
    assert [one.code for one in _raised(tree, "x.py")] == ["NEW", "Z", None]


def test_every_cause_has_its_row() -> None:
    silent = {Cause.RECOVERING, Cause.UNKNOWN}
    assert {cause for cause in CAUSES if cause.value not in set(AlertCode)} <= silent
    assert "RECOVERING" not in set(AlertCode)


def test_every_alert_of_the_expert_advisor_is_in_the_table() -> None:
    found = set()
    for path in sorted((ROOT / "mql4/Include/Bridge").glob("*.mqh")):
        text = path.read_text("utf-8")
        if path.name not in ("Alerts.mqh", "Pump.mqh"):
            named = list(_RAISE.finditer(text))
            assert len(named) == len(_ANY_RAISE.findall(text)), path.name
            for one in named:
                if one[3]:
                    codes = [_DEFINED.get(one[3], one[3].removeprefix("CODE_"))]
                elif one[2].endswith("_"):  # "JOURNAL_" + HealthText(), which is never OK here
                    codes = [one[2] + "FULL", one[2] + "FATAL"]
                else:
                    codes = [one[2]]
                found |= {(one[1], code) for code in codes}
    assert {code for _, code in found} <= set(AlertCode)
    assert {level for level, _ in found} <= {"info", "warning", "error"}
    assert {"ZONE", "STATE_LOST", "RECONCILING", "STOPS_NOT_SET"} <= {code for _, code in found}


def test_where_a_code_is_also_a_reason_both_tables_speak_of_the_same() -> None:
    both = {code.value for code in AlertCode} & {code.value for code in ReasonCode}
    assert {"SERVER_LIED", "LOG_FORK", "STOPS_NOT_SET"} <= both
    assert all(ALERTS[AlertCode(word)].meaning for word in both)
