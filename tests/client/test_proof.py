"""A proof holds as it was made, and no field of it can be changed unseen."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge_client.proof import Proof, ProofError, decode_proof, encode_proof
from bridge_client.proof_checks import Check, check_proof
from bridge_client.proof_ledger import ledger_check
from bridge_client.proof_reading import Known
from bridge_core.protocol.chain import Record
from bridge_core.protocol.operations import Op, Purpose
from bridge_core.protocol.replies import OrderView
from bridge_core.protocol.signing import ea_record_mac, order_hash, request_hash
from bridge_core.protocol.tag import make_tag
from bridge_core.protocol.token import EaRecord, parse_request
from tests.support.builders import ACCT, KID, NOW, RID, key_set, sign
from tests.support.proofs import KEYS, OPEN, RECORDS, chained, filled_case, make

KEYED = Known(keys=KEYS)
NO_KEY = Known()
PROOF = make(filled_case())
RAW = encode_proof(PROOF)


def judge(proof: Proof, known: Known = KEYED) -> list[Check]:
    checks = list(check_proof(proof, known))
    if all(check.state != "fail" for check in checks):
        checks.append(ledger_check(proof))
    return checks


def failed(proof: Proof, known: Known = KEYED) -> list[str]:
    return [check.id for check in judge(proof, known) if check.state == "fail"]


def again(proof: Proof) -> Proof:
    """Return a proof as it is read back from its file."""
    return decode_proof(encode_proof(proof))


def sealed(built: Any) -> Proof:
    """Return the proof of edited content, its digest made anew as a careful editor would."""
    return decode_proof(encode_proof(msgspec.convert(built, Proof)))


# --- as it was made ---------------------------------------------------------------------------


def test_a_proof_holds_as_it_was_made_with_the_key_and_without() -> None:
    states = {check.id: check.state for check in judge(decode_proof(RAW))}
    assert states == dict.fromkeys(states, "ok") | {"ea.word": "skip"}
    keyless = {check.id: check.state for check in judge(decode_proof(RAW), NO_KEY)}
    skipped = {name for name, state in keyless.items() if state == "skip"}
    assert skipped == {"key", "request.mac", "reply.mac", "ea.word"}
    assert "fail" not in keyless.values()


def test_the_file_is_ascii_json_of_one_spelling_and_holds_no_key() -> None:
    RAW.decode("ascii")
    assert json.loads(RAW)["schema"] == "ztb.proof/1"
    for key in KEYS.keys.values():
        assert key.hex().encode() not in RAW
    view = replace(filled_case().view, comment="Größe \U0001f4b6")
    odd = encode_proof(make(filled_case()._replace(view=view)))
    odd.decode("ascii")
    assert not failed(decode_proof(odd))


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"[]", b"\xff", RAW + b" ", RAW.replace(b"\n", b"\r\n"), RAW[:-2],
        RAW.replace(b'"schema"', b'"schema": "x", "schema"', 1),
        RAW.replace(b"ztb.proof/1", b"ztb.proof/2"),
        RAW.replace(b'"tag"', b'"tag2"', 1),
        json.dumps({**json.loads(RAW), "more": 1}, indent=1).encode() + b"\n",
        json.dumps(json.loads(RAW)).encode(),
    ],
)  # fmt: skip
def test_a_file_that_is_no_proof_or_has_another_spelling_is_refused(raw: bytes) -> None:
    with pytest.raises(ProofError):
        decode_proof(raw)


# --- nothing can be changed unseen ------------------------------------------------------------

Path = tuple[str | int, ...]
# Said by nobody who signed: the page lists them, and `ztb audit verify` prints them.
_INFORMATIVE: tuple[Path, ...] = (("made",), ("missing",), ("record", "head", "seen"))
_LEDGER: Path = ("ledger",)  # compared, not signed: its own tests are below
_UNDER_KEY = ("order", "mode")


def _leaves(value: Any, path: Path = ()) -> list[Path]:
    if isinstance(value, dict):
        return [p for name, part in value.items() for p in _leaves(part, (*path, name))]
    if isinstance(value, list):
        inner = [p for n, part in enumerate(value) for p in _leaves(part, (*path, n))]
        return [*inner, *((*path, n) for n in range(len(value)))]
    return [path]


_BUILT = json.loads(RAW)
_PATHS = [p for p in _leaves(_BUILT) if p[0] != "digest" and p != ("schema",)]


_HEX = "0123456789abcdef"
_PRINTABLE = "".join(map(chr, range(33, 127)))


def _edited(path: Path, at: int, by: int) -> Any:
    """Return the content with the thing at a path changed; an element of a list is taken out."""
    built = json.loads(json.dumps(_BUILT))
    place = built
    for step in path[:-1]:
        place = place[step]
    old = place[path[-1]]
    if isinstance(old, bool):
        place[path[-1]] = not old
    elif isinstance(old, int):
        place[path[-1]] = old + (by or 1)
    elif isinstance(old, str):
        index = at % (len(old) or 1)
        letters = _HEX if set(old) <= set(_HEX) else _PRINTABLE
        now = letters.find(old[index : index + 1])
        letter = letters[(now + 1 + by % (len(letters) - 1)) % len(letters)]
        place[path[-1]] = old[:index] + letter + old[index + 1 :]
    elif isinstance(place, list):
        place.pop(int(path[-1]))
    else:
        place[path[-1]] = built["request"] if old is None else None
    return built


def _is_under(path: Path, roots: tuple[Path, ...]) -> bool:
    return any(path[: len(root)] == root for root in roots)


# A whole reply taken out leaves a file that says less, and nothing false.
_WHOLE: tuple[Path, ...] = (("answers", 0), ("answers", 1))
_CHECKED = [p for p in _PATHS if not _is_under(p, (*_INFORMATIVE, _LEDGER)) and p not in _WHOLE]


def test_every_single_thing_in_the_file_is_covered_by_a_check_under_the_key() -> None:
    tried = [(path, at) for path in _CHECKED for at in (0, 7, 40, 99)]
    refused = 0
    for path, at in tried:
        try:
            changed = sealed(_edited(path, at, 1))
        except msgspec.MsgspecError:
            refused += 1
        else:
            assert failed(changed), (path, at)
    assert len(tried) - refused > 150


@pytest.mark.long
@settings(max_examples=1000)
@given(st.sampled_from(_CHECKED), st.integers(0, 4000), st.integers(0, 200))
def test_whoever_changes_anything_and_the_digest_with_it_is_found_by_the_key(
    path: Path, at: int, by: int
) -> None:
    try:
        changed = sealed(_edited(path, at, by))
    except (ProofError, msgspec.MsgspecError):
        return
    assert changed != PROOF
    assert failed(changed), path


@given(st.sampled_from(_CHECKED), st.integers(0, 4000), st.integers(0, 200))
def test_without_the_key_all_but_the_replies_and_the_mode_is_covered(
    path: Path, at: int, by: int
) -> None:
    if path == _UNDER_KEY or path[0] == "answers":
        return
    try:
        changed = sealed(_edited(path, at, by))
    except (ProofError, msgspec.MsgspecError):
        return
    assert failed(changed, NO_KEY), path


@given(st.sampled_from(_PATHS), st.integers(0, 4000), st.integers(0, 200))
def test_a_change_that_leaves_the_digest_is_always_found(path: Path, at: int, by: int) -> None:
    try:
        changed = msgspec.convert(_edited(path, at, by), Proof)
    except msgspec.MsgspecError:
        return
    assert failed(replace(changed, digest=decode_proof(RAW).digest), NO_KEY), path


@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_a_flipped_byte_of_the_file_is_always_found(at: int, by: int) -> None:
    raw = bytearray(RAW)
    raw[at] ^= by
    try:
        changed = decode_proof(bytes(raw))
    except ProofError:
        return
    assert failed(changed, NO_KEY)


def test_a_file_with_less_in_it_still_holds_for_what_it_says() -> None:
    for path in _WHOLE:
        assert failed(sealed(_edited(path, 0, 1))) == []
    assert failed(again(replace(PROOF, request=None))) == []
    assert failed(again(replace(PROOF, record=None, ledger=()))) == []


def test_the_first_thing_that_does_not_hold_is_named() -> None:
    built = json.loads(json.dumps(_BUILT))
    built["record"]["rows"][1]["record"] = built["record"]["rows"][1]["record"].replace("RATE", "X")
    (first, *_) = [c for c in judge(sealed(built)) if c.state == "fail"]
    assert (first.id, first.finding) == ("record.chain", "record 5: hash does not match the record")


# --- what somebody with more patience tries ---------------------------------------------------


def test_a_history_written_anew_breaks_on_the_head_that_was_signed_or_is_remembered() -> None:
    case = filled_case()
    denied = Record(ts=NOW + 9, kind="ORDER", rid=RID, op="OPEN", state="DENIED", code="EXPIRED",
                    data={"evidence": "SERVER", "by": "server"})  # fmt: skip
    lie = chained((*case.records[:3], denied), case.before)
    view = OrderView(rid=RID, op="OPEN", kid=KID, client_order_id="atlas-17", status="DENIED",
                     code="EXPIRED", final=True, by="server", evidence="SERVER")  # fmt: skip
    # With the true replies in the file they contradict it.
    assert failed(again(replace(PROOF, record=lie)))[0] == "record.history"
    # Without any reply it is a consistent story; only who remembers a head can tell.
    bare = make(case._replace(view=view, records=(*case.records[:3], denied), direct=False,
                              asked=False, ledger=()))  # fmt: skip
    assert not failed(again(bare))
    assert PROOF.record is not None
    true = {row.n: bytes.fromhex(row.hash) for row in PROOF.record.rows}
    assert failed(again(bare), Known(heads=true)) == ["record.witness"]


def test_a_reply_made_under_another_key_does_not_hold() -> None:
    other = Known(keys=key_set(root=2))
    assert failed(decode_proof(RAW), other) == ["request.mac", "reply.mac"]


def test_a_key_set_of_another_kid_checks_nothing_and_says_so() -> None:
    checks = {c.id: c for c in judge(decode_proof(RAW), Known(keys=key_set(kid="other-1")))}
    assert checks["request.mac"].state == checks["reply.mac"].state == "skip"
    assert "other-1" in checks["request.mac"].finding


@pytest.mark.parametrize("odd", ["\\ud800", "\\u0000", "\\u001b[2J", "\\u00e9"])
def test_odd_text_anywhere_in_the_file_is_a_verdict_and_never_a_crash(odd: str) -> None:
    spots = [n for n, byte in enumerate(RAW) if RAW[n - 1 : n] == b'"' and byte not in b',:}]"\n']
    for spot in spots:
        raw = RAW[:spot] + odd.encode("ascii") + RAW[spot:]
        try:
            found = failed(decode_proof(raw), KEYED)
        except ProofError:
            continue
        assert found


def test_a_claim_that_nothing_in_the_file_shows_does_not_hold() -> None:
    bare = replace(PROOF, answers=(), record=None)
    assert failed(again(bare))[0] == "outcome"


def test_a_begin_at_or_after_the_deadline_is_found() -> None:
    case = filled_case()
    late = [replace(r, ts=r.ts + 5_000) if r.state != "ACCEPTED" else r for r in case.records]
    assert failed(make(case._replace(records=tuple(late))))[0] == "record.history"


def test_the_word_of_an_ea_is_checked_under_its_own_key() -> None:
    keys = key_set(ea=True)
    signed = sign(Op.OPEN, OPEN, keys, ea=True)
    token = parse_request(signed.token)
    assert token is not None
    said = EaRecord(
        kid=KID, acct=ACCT, rid=RID, op="OPEN", order_hash=order_hash(signed, token),
        status="FILLED", code="-", ticket=11, volume="0.10", price="1.10010", sl="0", tp="0",
        time=NOW + 8,
    ).text()  # fmt: skip
    case = filled_case()
    mac = ea_record_mac(keys.keys[Purpose.REPLY_EA], said)
    magic = make_tag(ACCT, RID).mt4_magic  # an EA's terminal knows no longer ones
    view = replace(case.view, ea=said.decode("ascii"), ea_mac=mac, magic=magic)
    case = case._replace(signed=signed, view=view, records=RECORDS(request_hash(signed)))

    def word(proof: Proof, known: Known) -> str:
        return next(check.state for check in judge(again(proof), known) if check.id == "ea.word")

    assert word(make(case), Known(keys=keys)) == "ok"
    assert failed(again(make(case)), Known(keys=keys)) == []
    assert word(make(case), NO_KEY) == "skip"
    for ea, ea_mac in ((view.ea, "0" * 64), (view.ea.replace("FILLED", "PARTIAL"), mac)):
        lie = case._replace(view=replace(view, ea=ea, ea_mac=ea_mac))
        assert word(make(lie), Known(keys=keys)) == "fail"
