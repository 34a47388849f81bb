"""`ztb audit show ORDER --proof` and `ztb audit verify FILE`, as a user types them."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from bridge_client import Connector
from bridge_client.cli.proof_gather import ROWS_MAX, segment_of
from bridge_client.proof import Proof, decode_proof, encode_proof
from bridge_core.host.bundles import load_bundle
from bridge_core.host.keyfiles import parse_key_hex
from tests.support import independent
from tests.support.command_line import Ended, Ztb
from tests.support.lived_day import LivedDay
from tests.support.record_server import RecordServer, reader_of
from tests.support.running import Running
from tests.support.scripted_backend import loses

ENDED = {
    "bought": "FILLED", "modified": "DONE", "sold": "FILLED", "rests": "WORKING",
    "cancelled": "DONE", "wrong-side": "DENIED", "closed": "FILLED", "halted": "DENIED",
    "flat": "DONE",
}  # fmt: skip


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivedDay]:
    with LivedDay(tmp_path_factory.mktemp("audit")) as one:
        one.trade()
        yield one


@pytest.fixture
def ztb(capsys: pytest.CaptureFixture[str]) -> Ztb:
    return Ztb(capsys)


Show = Callable[..., Path]


@pytest.fixture
def show(ztb: Ztb, day: LivedDay, tmp_path: Path) -> Show:
    def made(order: str, *more: object, who: str = "connector") -> Path:
        path = tmp_path / f"{order}.json"
        ended = ztb("audit", "show", order, "--proof", "--out", path, "--json",
                    "--config", day.config(who), *more)  # fmt: skip
        assert ended.code in (0, 2), ended
        assert ended.json["file"] == str(path)
        return path

    return made


def verified(ended: Ended) -> dict[str, str]:
    assert ended.json["holds"] is (ended.code == 0), ended
    return {check["id"]: check["state"] for check in ended.json["checks"]}


def proof_of(path: Path) -> Proof:
    return decode_proof(path.read_bytes())


@pytest.mark.parametrize("order", ENDED)
def test_every_ending_can_be_proven_with_the_key_and_without(
    ztb: Ztb, day: LivedDay, show: Show, order: str
) -> None:
    path = show(order)
    proof = proof_of(path)
    assert (proof.order.client_order_id, proof.order.status) == (order, ENDED[order])
    assert (proof.made.offline, proof.missing) == (False, ())
    keyed = verified(ztb("audit", "verify", path, "--keys", day.account.bundle(), "--json"))
    assert [name for name, state in keyed.items() if state != "ok"] == [
        "ea.word", *(["ledger"] if ENDED[order] == "DENIED" else [])
    ]  # fmt: skip
    keyless = verified(ztb("audit", "verify", path, "--json"))
    assert "fail" not in keyless.values()
    assert keyless["reply.mac"] == "skip"


def test_a_third_party_recomputes_it_from_the_page_with_the_standard_library(
    day: LivedDay, show: Show
) -> None:
    file = json.loads(show("bought").read_bytes())
    token, body = (file["request"][name].encode() for name in ("token", "body"))
    assert independent.digest("req", token, body) == file["req_hash"]
    assert independent.tag_of(file["order"]["account"], file["order"]["rid"])[2] == (
        file["tag"]["comment"]
    )  # fmt: skip
    digest = bytes.fromhex(file["record"]["prev"])
    for row in file["record"]["rows"]:
        digest = independent.chain_link(digest, row["record"].encode())
        assert digest.hex() == row["hash"]
    assert digest.hex() == file["record"]["head"]["hash"]
    head = file["record"]["head"]
    signed = file["answers"][0]["reply"]["token"].split(":")[10:12]
    assert signed == [str(head["size"]), head["hash"]]
    bundle = load_bundle(day.account.bundle() / "keys" / "connector.key")
    root = bytes.fromhex(bundle.root)
    made = independent.key(root, "paper", bundle.acct, bundle.kid, "order>srv")
    assert independent.mac(made, "order>srv", token[:-64], body).encode() == token[-64:]
    made = independent.key(root, "paper", bundle.acct, bundle.kid, "reply<srv")
    for answer in file["answers"]:
        token, body = (answer["reply"][name].encode() for name in ("token", "body"))
        assert independent.mac(made, "reply<srv", token[:-64], body).encode() == token[-64:]


def test_an_order_that_the_server_never_saw_says_so(
    ztb: Ztb, day: LivedDay, tmp_path: Path
) -> None:
    folder = tmp_path / "connector"
    shutil.copytree(day.account.bundle(), folder)
    with closing(sqlite3.connect(folder / "state" / "atlas.db")) as db:
        db.execute("UPDATE orders SET rid = ? WHERE client_order_id = 'bought'", ("ef" * 16,))
        db.commit()
    ended = ztb("audit", "show", "bought", "--json", "--config", folder / "connector.toml")
    assert ended.code == 0
    assert any("has not seen this order" in one for one in ended.json["missing"])


def test_no_key_of_anybody_is_in_the_file(day: LivedDay, show: Show) -> None:
    raw = show("bought").read_bytes()
    raw.decode("ascii")
    for who in ("connector", "operator", "query"):
        bundle = load_bundle(day.account.bundle(who) / "keys" / "connector.key")
        texts = [bundle.root, bundle.curve_secret, bundle.event_srv]
        texts += [key.hex() for key in bundle.key_set().keys.values()]
        for text in texts:
            assert text.encode("ascii") not in raw
            assert text.encode("ascii").upper() not in raw
        assert parse_key_hex(bundle.root) not in raw


def test_the_story_names_positions_head_and_steps(ztb: Ztb, day: LivedDay) -> None:
    ended = ztb("audit", "show", "bought", "--json", "--config", day.config())
    told = ended.json
    assert (ended.code, told["schema"]) == (0, "ztb.audit.show/1")
    assert told["positions"] == sorted(told["positions"])
    assert len(told["positions"]) >= 2
    assert told["head"]["size"] >= told["positions"][-1]
    assert {step["hop"] for step in told["steps"]} >= {"connector", "server", "executor", "broker"}
    assert "file" not in told


def test_an_order_of_another_client_is_proven_by_what_the_server_tells(
    ztb: Ztb, day: LivedDay, show: Show
) -> None:
    path = show("sold", who="query")
    proof = proof_of(path)
    assert proof.request is None
    assert any("signed request" in one for one in proof.missing)
    found = verified(ztb("audit", "verify", path, "--keys", day.account.bundle("query"), "--json"))
    assert found["request"] == found["request.mac"] == "skip"
    assert found["reply.mac"] == found["record.history"] == found["record.witness"] == "ok"


def test_a_child_of_a_flatten_has_a_proof_of_its_own(ztb: Ztb, show: Show) -> None:
    replies = json.loads(proof_of(show("flat")).answers[-1].reply.body)
    (child, *_) = replies["order"]["children"]
    path = show(child["rid"])
    assert proof_of(path).order.op == "CLOSE"
    assert ztb("audit", "verify", path).code == 0


def test_an_operators_word_is_proven_like_an_order(ztb: Ztb, day: LivedDay, show: Show) -> None:
    with Connector.from_config(day.config()) as bridge:
        bridge.connect()
    records = ztb("audit", "show", "--count", 1000, "--json", "--config", day.config())
    (word,) = [r["record"] for r in records.json["records"] if r["record"]["kind"] == "RESUME"]
    path = show(word["rid"])
    assert proof_of(path).order.op == "RESUME"
    assert ztb("audit", "verify", path).code == 0


def test_an_order_that_was_unknown_is_proven_while_it_is_and_after(
    ztb: Ztb, tmp_path: Path
) -> None:
    day = LivedDay(tmp_path)
    made: list[Proof] = []

    def prove(order: str) -> Proof:
        path = tmp_path / f"{len(made)}.json"
        config = ("--config", day.config())
        assert ztb("audit", "show", order, "--proof", "--out", path, *config).code == 0
        ended = ztb("audit", "verify", path, "--keys", day.account.bundle(), "--json")
        assert ended.code == 0, ended
        made.append(proof_of(path))
        return made[-1]

    with Running(day.account) as server:
        server.ready()
        server.scripted.scan_complete = False
        server.scripted.plan.extend((loses(executed=False), loses(executed=True)))
        with Connector.from_config(day.config(), client="atlas") as bridge:
            bridge.connect()
            lost = bridge.buy("EURUSD", 0.1, client_order_id="lost", wait=0.3)
            assert prove("lost").order.status == "UNKNOWN"
            with Connector.from_config(day.config("operator")) as operator:
                assert operator.settle(lost.rid, "DENIED", 0, "statement").status == "DONE"
            assert bridge.wait("lost", 5).evidence == "HUMAN"
            human = prove("lost")
            assert (human.order.status, human.order.evidence) == ("DENIED", "HUMAN")
            assert human.record is not None
            assert any('"kind":"SETTLE"' in row.record for row in human.record.rows)
            bridge.buy("EURUSD", 0.1, client_order_id="found", wait=5)
            assert prove("found").order.evidence == "TAG"


def test_a_segment_ends_at_the_next_witnessed_head_and_is_never_longer_than_its_bound() -> None:
    server = RecordServer(9_000)
    missing: list[str] = []
    near = segment_of(reader_of(server), [10, 12], {5: 1, 40: 2, 90: 3}, missing)
    assert (near.rows[0].n, near.head.size, near.head.seen, missing) == (10, 40, 2, [])
    far = segment_of(reader_of(server), [10, 12], {5: 1, 10 + ROWS_MAX: 2}, missing)
    assert (far.rows[0].n, far.head.size, far.head.seen) == (10, 12, 0)
    assert len(missing) == 1


def test_verify_asks_nobody(
    ztb: Ztb, day: LivedDay, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = show("bought")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr("bridge_client.transport.Transport.__init__", refuse)
    assert ztb("audit", "verify", path, "--keys", day.account.bundle()).code == 0


def test_an_edited_proof_fails_with_exit_1_and_the_first_thing_that_does_not_hold(
    ztb: Ztb, day: LivedDay, show: Show, tmp_path: Path
) -> None:
    raw = show("bought").read_bytes()
    edited = tmp_path / "edited.json"
    edited.write_bytes(raw.replace(b'"FILLED"', b'"DENIED"', 1))
    ended = ztb("audit", "verify", edited, "--json")
    assert (ended.code, ended.json["first"]) == (1, "outcome")
    assert ended.json["ok"] is False
    plain = ztb("audit", "verify", edited)
    assert "it does not hold: outcome: " in plain.out
    # A careful editor: another price in both replies, and a digest made anew.
    built = json.loads(raw)
    for answer in built["answers"]:
        answer["reply"]["body"] = answer["reply"]["body"].replace('"0.1"', '"0.2"')
    proof = msgspec.convert(built, Proof)
    edited.write_bytes(encode_proof(proof))
    ended = ztb("audit", "verify", edited, "--keys", day.account.bundle(), "--json")
    assert ended.code == 1
    assert verified(ended)["reply.mac"] == "fail"


def test_a_file_that_is_no_proof_is_1_and_one_that_is_not_there_is_3(
    ztb: Ztb, tmp_path: Path
) -> None:
    other = tmp_path / "x.json"
    other.write_text("{}")
    ended = ztb("audit", "verify", other, "--json")
    assert (ended.code, ended.json["first"]) == (1, "format")
    assert ztb("audit", "verify", tmp_path / "none.json", "--json").code == 3
    assert ztb("audit", "verify", other, "--keys", tmp_path / "none").code == 3


def test_a_proof_is_never_written_over_another_file(ztb: Ztb, day: LivedDay, show: Show) -> None:
    path = show("bought")
    before = path.read_bytes()
    ended = ztb("audit", "show", "sold", "--proof", "--out", path, "--config", day.config())
    assert (ended.code, path.read_bytes()) == (3, before)
    assert "--out" in ended.err


def test_proof_flags_without_an_order_are_a_usage_error(ztb: Ztb, day: LivedDay) -> None:
    for flags in (("--proof",), ("--offline",), ("--out", "x"), ("--ledger", "x")):
        ended = ztb("audit", "show", *flags, "--config", day.config())
        assert ended.code == 3
        assert "ORDER" in ended.err
    assert ztb("audit", "verify", "--keys", "x", "--config", day.config()).code == 3
    assert ztb("audit", "show", "never-was", "--proof", "--config", day.config()).code == 3
    assert ztb("audit", "show", "never-was", "--offline", "--config", day.config()).code == 3


def test_a_ledger_at_another_place_can_be_named(day: LivedDay, show: Show, tmp_path: Path) -> None:
    assert len(proof_of(show("bought")).ledger) == 2
    moved = tmp_path / "ledger.jsonl"
    shutil.copy(day.account.state / "ledger.jsonl", moved)
    assert len(proof_of(show("sold", "--ledger", moved)).ledger) == 2


def test_the_evidence_outlives_the_server(
    ztb: Ztb, day: LivedDay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge_client.queries.QUERY_S", 0.5)
    state = tmp_path / "kept" / "connector"
    shutil.copytree(day.account.bundle(), state)
    config = state / "connector.toml"
    text = config.read_text("utf-8").replace(str(day.account.port), "9")
    config.write_text(text, "utf-8")
    for order, flags, code in (("bought", ["--offline"], 0), ("sold", [], 2)):
        path = tmp_path / f"{order}.json"
        ended = ztb("audit", "show", order, "--proof", "--out", path, "--json", *flags,
                    "--config", config)  # fmt: skip
        assert (ended.code, ended.json["server_answered"]) == (code, False)
        assert proof_of(path).made.offline
        assert any("server's answer" in one for one in proof_of(path).missing)
        found = verified(ztb("audit", "verify", path, "--keys", state, "--json"))
        assert found["request.mac"] == found["reply.mac"] == found["outcome"] == "ok"
        assert found["record.chain"] == "skip"


def test_a_journal_that_only_an_older_version_wrote_is_read_and_goes_on(
    ztb: Ztb, day: LivedDay, tmp_path: Path
) -> None:
    folder = tmp_path / "connector"
    shutil.copytree(day.account.bundle(), folder)
    with closing(sqlite3.connect(folder / "state" / "atlas.db")) as db:
        for table in ("words", "quotes", "refusals"):
            db.execute(f"DROP TABLE {table}")
    path = tmp_path / "old.json"
    ended = ztb("audit", "show", "bought", "--proof", "--out", path, "--json",
                "--config", folder / "connector.toml")  # fmt: skip
    assert ended.code == 0
    assert any("kept none" in one for one in proof_of(path).missing)
    assert ztb("audit", "verify", path, "--keys", folder).code == 0
    told = ztb("report", "--json", "--config", folder / "connector.toml").json
    assert told["measured_by"] == {"signed": 1}
    with Connector.from_config(folder, client="atlas") as bridge:
        bridge.connect()
        bridge.buy("EURUSD", 0.1, client_order_id="after-upgrade")
    again = tmp_path / "new.json"
    ended = ztb("audit", "show", "after-upgrade", "--proof", "--out", again, "--json",
                "--config", folder / "connector.toml")  # fmt: skip
    assert (ended.code, proof_of(again).missing) == (0, ())
