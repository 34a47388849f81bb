"""protocol.md agrees with the code: generated tables, section numbers, and nothing undescribed."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bridge_core.protocol import events, replies, views
from bridge_core.protocol.codes import ReasonCode, Status
from bridge_core.protocol.events import EVENT_TYPES
from bridge_core.protocol.operations import OPERATIONS, Op, Purpose
from bridge_server.core.trading_state import Cause
from tests.protocol_tables import BLOCKS, PAGE, ROOT, render
from tests.support.glossary import COMMON, SPECIAL, note_of

TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", TEXT, re.MULTILINE))
SOURCES = [
    path
    for package in ("bridge_core", "bridge_server", "bridge_client")
    for path in sorted((ROOT / package).rglob("*.py"))
]


def test_the_generated_tables_have_not_drifted() -> None:
    assert render(TEXT) == TEXT, "run: python -m tests.protocol_tables --write"


def test_every_table_stands_in_the_page_once() -> None:
    assert sorted(re.findall(r"<!-- generated: ([a-z-]+) -->", TEXT)) == sorted(BLOCKS)
    assert TEXT.count("<!-- /generated -->") == len(BLOCKS)


def test_an_edit_inside_a_generated_table_is_drift() -> None:
    broken = TEXT.replace("| `EXPIRED` |", "| `TOO_LATE` |")
    assert broken != TEXT
    assert render(broken) == TEXT


def test_sections_are_numbered_without_gaps() -> None:
    assert [int(n) for n in re.findall(r"^## (\d+)\. ", TEXT, re.MULTILINE)] == list(range(1, 17))


def test_every_section_that_the_code_cites_exists() -> None:
    cited = {
        (section, path.name)
        for path in SOURCES
        for group in re.findall(r"protocol\.md ((?:\d+(?:\.\d+)?(?:, | and )?)+)", _text(path))
        for section in re.findall(r"\d+(?:\.\d+)?", group)
    }
    assert cited
    assert {(section, name) for section, name in cited if section not in SECTIONS} == set()


def _text(path: Path) -> str:
    return re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))


def test_every_cause_is_raised_somewhere() -> None:
    code = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "bridge_server").rglob("*.py")
        if path.name != "trading_state.py"
    )
    by_name = {"DAILY_LOSS", "DRAWDOWN", "BREAKER"}  # bridge_core/risk/state.py names them
    assert {cause for cause in Cause if not re.search(rf"Cause\.{cause}\b", code)} <= by_name
    assert by_name <= set(re.findall(r'"([A-Z_]+)"', _text(ROOT / "bridge_core/risk/state.py")))


def test_nothing_cites_a_page_that_is_not_here() -> None:
    tests = sorted((ROOT / "tests").rglob("*.py"))
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")]
    lost = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in [*SOURCES, *tests, *pages]
        for name in re.findall(r"[\w./-]*\w\.md\b", path.read_text(encoding="utf-8"))
        if not (ROOT / name).exists() and not (path.parent / name).exists()
    }
    assert not lost, "\n".join(sorted(lost))


@pytest.mark.parametrize("word", [*Op, *Purpose, *Status, *ReasonCode, *Cause, *EVENT_TYPES])
def test_every_word_of_the_wire_is_on_the_page(word: str) -> None:
    assert re.search(rf"(?<![A-Za-z_]){re.escape(word)}(?![A-Za-z_])", TEXT)


def test_every_field_is_explained_and_nothing_else_is() -> None:
    kinds = {spec.body for spec in OPERATIONS.values()} | {
        kind
        for module in (views, replies, events)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, views.Reply) and kind is not views.Reply
    }
    fields = {
        (kind.__name__, field.encode_name)
        for kind in kinds
        for field in msgspec.structs.fields(kind)
    }
    assert all(note_of(kind, name).means for kind, name in fields)
    explained = {(kind, name) for kind, names in SPECIAL.items() for name in names}
    assert explained - fields == set()
    assert set(COMMON) - {name for _, name in fields} == set()
