"""`ztb audit show ORDER [--proof]` and `ztb audit verify FILE`: one order's evidence as a file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge_client.cli.exits import Exit, UsageError
from bridge_client.cli.journals import LocalOrder, local_orders, remembered
from bridge_client.cli.knowing import unknown_order
from bridge_client.cli.output import Answer, moment, plain
from bridge_client.cli.places import place_of, querying
from bridge_client.cli.proof_gather import Kept, Shown, ask_server, ledger_lines, read_kept
from bridge_client.cli.trace import outcome_of, steps_of
from bridge_client.cli.version import package_version
from bridge_client.proof import INFORMATIVE, Made, Proof, ProofError, decode_proof, encode_proof
from bridge_client.proof_checks import Check, check_proof
from bridge_client.proof_ledger import ledger_check
from bridge_client.proof_making import Account, Parts, assemble
from bridge_client.proof_reading import Known
from bridge_client.settings import load_settings
from bridge_core.host.bundles import load_bundle
from bridge_core.protocol.errors import TransportError
from bridge_core.protocol.replies import OrderView

if TYPE_CHECKING:
    from bridge_client.cli.main import Context
    from bridge_client.cli.places import Place

__all__ = ["order", "verify_file"]

_FILE_MAX: Final = 64 * 1024 * 1024
_LEDGER: Final = Path("server") / "state" / "ledger.jsonl"
_HOLDER: Final = (
    "whoever holds the key of a MAC could have made the bytes himself: it proves them to that "
    "holder, and convinces no third party"
)
_WORD: Final = (
    "the record is the server's word: a witnessed head shows that it was not changed since, not "
    "that it was true"
)
_LIMITS: Final = (_HOLDER, _WORD)
# Without the key these may be edited unseen, by somebody who makes the digest anew.
_UNDER_KEY: Final = ("order.mode", "answers[].reply.token", "answers[].reply.body")


# --- show -------------------------------------------------------------------------------------


def order(ctx: Context) -> Answer:
    """Tell one order's story; with --proof write its evidence to a file."""
    args = ctx.args
    place = place_of(args)
    local = local_orders(place.state, args.order)
    kept = read_kept(place, args.order, local)
    shown, away = None, None
    if not args.offline:
        try:
            with querying(ctx, place) as bridge:
                shown = ask_server(bridge, kept)
        except TransportError as error:
            away = error
            ctx.out.warn(f"the server's part is missing: {error}")
    if not local and shown is None:
        if away is not None:
            raise away
        raise unknown_order(args.order)
    proof = _proof(place, kept, shown, args.ledger, offline=args.offline or away is not None)
    data = _story(ctx, proof, local, shown)
    if args.proof or args.out:
        path = Path(args.out or f"{_file_name(args.order)}.proof.json")
        _write(path, encode_proof(proof))
        ctx.out.line(f"written    {path}")
        ctx.out.say(f"check it with: ztb audit verify {path}")
        data["file"] = str(path)
    return Answer(Exit.NOTHING_SENT if away is not None else Exit.OK, data)


def _file_name(text: str) -> str:
    return text.lstrip(".") or "order"


def _write(path: Path, raw: bytes) -> None:
    # Never over another file: a proof that was handed out must stay what it was.
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} exists: name another file with --out", "FILE_EXISTS") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)


def _proof(
    place: Place, kept: Kept, shown: Shown | None, ledger: str | None, *, offline: bool
) -> Proof:
    first = shown.view if shown is not None else None
    if first is None:
        assert kept.local is not None
        first = kept.local.view
    said = [one for one in (kept.said, shown.said if shown is not None else None) if one]
    lines, missing = _ledger(place, first, ledger)
    if kept.signed is None:
        missing.append("the signed request: only the client that signed it has its bytes")
    if kept.local is not None and kept.said is None:
        missing.append("the reply that ended it: this journal kept none")
    if shown is None:
        missing.append("the server's answer now, and its record" if offline else
                       "the server's record: it says that it has not seen this order")  # fmt: skip
    made = Made(
        at=time.time_ns() // 1_000_000,
        version=package_version(),
        server=shown.version if shown is not None else "",
        offline=offline,
    )
    settings = place.settings
    return assemble(
        Account(settings.account, settings.mode.value),
        Parts(
            first=first,
            signed=kept.signed,
            exchanges=tuple((one.asked, one.reply) for one in said),
            segment=shown.segment if shown is not None else None,
            records=shown.records if shown is not None else (),
            ledger=lines,
            made=made,
            missing=(*missing, *(shown.missing if shown is not None else ())),
        ),
    )


def _ledger(place: Place, view: OrderView, named: str | None) -> tuple[tuple[str, ...], list[str]]:
    # `ztb init` puts the server's folder beside the connector's; elsewhere it must be named.
    path = Path(named) if named else place.path.resolve().parent.parent / _LEDGER
    if not named and (place.settings.mode != "paper" or not path.is_file()):
        return (), []
    rids = {view.rid, *(child.rid for child in view.children)}
    lines = ledger_lines(path, place.settings.account, rids)
    return lines, []


def _story(
    ctx: Context, proof: Proof, local: list[LocalOrder], shown: Shown | None
) -> dict[str, object]:
    from bridge_client.cli.asking import NumberedRecord  # noqa: PLC0415  (zmq comes with it)

    view = shown.view if shown is not None else local[0].view
    records = [NumberedRecord(n, r) for n, r in (shown.records if shown else ())]
    mine = [one for one in records if one.record.rid == view.rid]
    claim, segment = proof.order, proof.record
    asked = (view.op, view.type, view.requested_volume, view.symbol)
    out = ctx.out
    out.fields(
        [
            ("order", claim.client_order_id),
            ("rid", claim.rid),
            ("account", f"{claim.account} {claim.mode}"),
            ("asked", " ".join(word for word in asked if word and word != "0")),
            ("signed by", f"{claim.kid}, req-hash {proof.req_hash[:16]}" if proof.req_hash else ""),
            ("outcome", outcome_of(view)),
            ("evidence", view.evidence),
            ("life", view.life),
            ("broker tag", f"{proof.tag.comment}, magic {proof.tag.magic}"),
            ("record", f"{', '.join(str(one.n) for one in mine)}" if mine else ""),
            ("head", f"{segment.head.size} {segment.head.hash[:16]}" if segment else ""),
        ]
    )
    steps = steps_of(local, shown.view if shown is not None else None, mine)
    out.table(
        ("TIME", "HOP", "WHAT", "EVIDENCE"),
        [(moment(step.time), step.hop, step.what, step.evidence) for step in steps],
    )
    for one in proof.missing:
        out.say(f"missing: {one}")
    return {
        "order": claim,
        "req_hash": proof.req_hash,
        "tag": proof.tag,
        "positions": [one.n for one in mine],
        "head": segment.head if segment is not None else None,
        "steps": [step._asdict() for step in steps],
        "missing": list(proof.missing),
        "server_answered": shown is not None,
    }


# --- verify -----------------------------------------------------------------------------------


def verify_file(ctx: Context) -> Answer:
    """Check a proof offline: 0 it holds, 1 it does not, 3 it could not be read."""
    args = ctx.args
    path = Path(args.file)
    if path.stat().st_size > _FILE_MAX:
        raise UsageError(f"{path} is larger than any proof", "PROOF")
    known = _known(ctx)
    try:
        proof = decode_proof(path.read_bytes())
        checks = list(check_proof(proof, known))
        if all(check.state != "fail" for check in checks):
            checks.append(ledger_check(proof))
    except ProofError as error:
        checks, proof = [Check("format", "fail", error.detail)], None
    return _verdict(ctx, checks, proof)


def _known(ctx: Context) -> Known:
    """Return the keys and remembered heads that the caller named; nothing is looked for."""
    args = ctx.args
    named = args.keys or getattr(args, "config", None)
    if not named:
        return Known()
    path = Path(named)
    if path.is_dir():
        path /= "connector.toml"
    if not path.is_file():
        raise UsageError(f"there is no {path}: --keys names a folder with a bundle", "NO_CONFIG")
    settings = load_settings(path)
    heads = {
        pair.size: pair.hash
        for one in remembered(path.parent / settings.state)
        for pair in one.pairs
    }
    return Known(load_bundle(path.parent / settings.keys).key_set(), heads)


def _verdict(ctx: Context, checks: list[Check], proof: Proof | None) -> Answer:
    out = ctx.out
    if proof is not None:
        claim = proof.order
        outcome = " ".join(word for word in (claim.status, claim.code) if word != "-")
        out.fields(
            [
                ("order", claim.client_order_id),
                ("rid", claim.rid),
                ("account", f"{claim.account} {claim.mode}"),
                ("claims", f"{claim.op} {outcome}"),
            ]
        )
    out.table(("CHECK", "STATE", "FINDING"), [(c.id, c.state, c.finding) for c in checks])
    keyed = any(check.id == "reply.mac" and check.state == "ok" for check in checks)
    open_fields = [*INFORMATIVE, *(() if keyed else _UNDER_KEY)]
    bad = next((check for check in checks if check.state == "fail"), None)
    if bad is not None:
        out.line(f"fail  it does not hold: {bad.id}: {plain(bad.finding)}")
    else:
        made = sum(check.state == "ok" for check in checks)
        out.line(f"ok    it holds: {made} of {len(checks)} checks were made, none failed")
        out.say(f"covered by no check: {', '.join(open_fields)}")
        for sentence in _LIMITS:
            out.say(f"limit: {sentence}")
    data = {
        "order": proof.order if proof is not None else None,
        "holds": bad is None,
        "checks": [check._asdict() for check in checks],
        "first": bad.id if bad is not None else "",
        "not_covered": open_fields,
        "limits": list(_LIMITS),
        "missing": list(proof.missing) if proof is not None else [],
    }
    return Answer(Exit.OK if bad is None else Exit.REJECTED, data)
