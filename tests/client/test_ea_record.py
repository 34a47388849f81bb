"""What is left of an order on an EA account: its proof and its trace carry the EA's record."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge_client import Connector, OrderResult
from bridge_core.protocol.tag import make_tag
from tests.support.ea_account import EaHouse

ROOT = Path(__file__).resolve().parents[2]


class Kept:
    """One account with an order of each outcome, and the command line beside it."""

    def __init__(self, folder: Path, acct: str, orders: dict[str, OrderResult]) -> None:
        self.folder = folder
        self.acct = acct
        self.orders = orders

    def ztb(self, *words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "bridge_client", *words, "--json",
             "--config", str(self.folder / "connector.toml")],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with EaHouse(tmp_path_factory.mktemp("kept")) as house:
        house.ready()
        folder = house.point_connector()
        with Connector.from_config(folder, client="atlas") as bridge:
            bridge.connect()
            orders = {"FILLED": bridge.buy("EURUSD", 0.01, strategy=3)}
            orders["DONE"] = bridge.flatten("test")
            orders["DENIED"] = bridge.buy("EURUSD", 0.01, price=1.2, deviation=1)
            house.broker.refuse("NO_MONEY")
            orders["REJECTED"] = bridge.buy("EURUSD", 0.01)
        for wanted, result in orders.items():
            assert (result.status, result.attested) == (wanted, True), result
        yield Kept(folder, house.keys.acct, orders)


@pytest.mark.parametrize("outcome", ["FILLED", "DONE", "DENIED", "REJECTED"])
def test_a_proof_of_an_attested_order_holds(kept: Kept, tmp_path: Path, outcome: str) -> None:
    order = kept.orders[outcome]
    file = tmp_path / "order.proof.json"
    code, said = kept.ztb("audit", "show", order.client_order_id, "--out", str(file))
    assert code == 0, said
    proof = json.loads(file.read_text("ascii"))
    assert proof["tag"]["magic"] == str(make_tag(kept.acct, order.rid).mt4_magic)
    code, said = kept.ztb("audit", "verify", str(file), "--keys", str(kept.folder))
    assert code == 0, said
    assert "the EA's record is about this order and its MAC holds" in said


@pytest.mark.parametrize("old", [":FILLED:-:1001:", ":1.08512:"])
def test_a_proof_whose_record_was_changed_does_not_hold(
    kept: Kept, tmp_path: Path, old: str
) -> None:
    file = tmp_path / "order.proof.json"
    assert kept.ztb("audit", "show", kept.orders["FILLED"].rid, "--out", str(file))[0] == 0
    text = file.read_text("ascii")
    assert old in text
    file.write_text(text.replace(old, old.replace("1", "2", 1)), "ascii")
    code, said = kept.ztb("audit", "verify", str(file), "--keys", str(kept.folder))
    assert code != 0, said


def test_the_trace_shows_the_eas_word_and_that_it_was_verified(kept: Kept) -> None:
    code, said = kept.ztb("trace", kept.orders["FILLED"].client_order_id)
    assert code == 0
    found: dict[str, Any] = json.loads(said)
    assert "verified" in json.dumps(found)
    assert "attests OPEN FILLED ticket=1001" in json.dumps(found)
