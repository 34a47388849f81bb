"""`ztb doctor`: a list of checks, each with a stable id, a finding and one concrete fix.

Offline checks come first and work without a server. A check that raises is a finding too.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from bridge_client.cli.checks_ea import LOCAL_EA, REMOTE_EA
from bridge_client.cli.checks_local import LOCAL, keys_mended
from bridge_client.cli.checks_mt5 import REMOTE_MT5
from bridge_client.cli.checks_remote import REMOTE
from bridge_client.cli.checkup import SAID, Check, Finding, Patient, fail
from bridge_client.cli.exits import DEGRADED, DOWN, HALTED, NOT_CHECKED, Exit, UsageError
from bridge_client.cli.output import Answer
from bridge_client.cli.places import Place, config_path, querying
from bridge_core.protocol.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge_client.cli.main import Context

__all__ = ["CHECKS", "exit_of", "run"]

CHECKS: Final[tuple[Check, ...]] = (*LOCAL, *LOCAL_EA, *REMOTE, *REMOTE_EA, *REMOTE_MT5)
# Without these nothing further can be said.
_GROUND: Final = ("python", "libzmq", "config.", "keys.")


def _look(check: Check, patient: Patient) -> Finding:
    try:
        return check.look(patient)
    except (BridgeError, OSError) as error:
        return fail(f"could not look: {error}", "look at `ztb ping` and `ztb health`")


def exit_of(findings: Sequence[tuple[str, Finding]], state: str) -> int:
    """Return the exit code: could not check, halted, something fails, a warning, all ok."""
    failed = [name for name, found in findings if found.state == "fail"]
    if any(name.startswith(_GROUND) for name in failed):
        return NOT_CHECKED
    if state == "HALTED":
        return HALTED
    if failed:
        return DOWN
    return DEGRADED if any(found.state == "warn" for _, found in findings) else Exit.OK


def run(ctx: Context) -> Answer:
    """Look at everything, in order."""
    patient = Patient()
    try:
        patient.config = config_path(ctx.args)
    except UsageError as error:
        patient.wanted = error.detail
    findings: list[tuple[str, Finding]] = []
    if ctx.args.fix_permissions:
        findings.append(("keys.mended", _look(Check("keys.mended", keys_mended), patient)))
    with ExitStack() as stack:
        for check in CHECKS:
            if check is REMOTE[0]:
                _connect(ctx, patient, stack)
            findings.append((check.id, _look(check, patient)))
    out = ctx.out
    for name, found in findings:
        if found.finding == SAID:
            continue
        out.line(f"{out.word(found.state)}{' ' * (5 - len(found.state))} {name:<18}{found.finding}")
        if found.fix and found.state != "ok":
            out.line(f"{'':<24}fix: {found.fix}")
    state = patient.hello.state if patient.hello is not None else ""
    rows = [{"id": name, **found._asdict()} for name, found in findings]
    states = [found.state for _, found in findings]
    counts = {word: states.count(word) for word in ("ok", "warn", "fail", "skip")}
    out.say(" ".join(f"{number} {word}" for word, number in counts.items()))
    return Answer(exit_of(findings, state), {"checks": rows, "counts": counts, "state": state})


def _connect(ctx: Context, patient: Patient, stack: ExitStack) -> None:
    """Open the connector for the online checks, if the offline ones left anything to open."""
    if patient.config is None or patient.settings is None or patient.bundle is None:
        return
    place = Place(patient.config, patient.settings)
    try:
        patient.bridge = stack.enter_context(querying(ctx, place))
    except BridgeError as error:
        # `server.hello` reports it as "no usable configuration or keys".
        ctx.out.say(str(error))
