"""mql4/README.md says what each message of the Advisor means: read from its sources, by a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge_client.cli.init import _ea_inputs
from bridge_client.cli.layout import Plan, Terminal

ROOT = Path(__file__).resolve().parent.parent
MQL4 = ROOT / "mql4"
README = MQL4 / "README.md"
# Where a text for a person begins: printed, shown, raised as an alert, or the reason of a refusal.
_TELLS = re.compile(r"\b(?:Print|Alert|Wait|Fall|Raise|Fail)\(|\b(?:why|m_why|m_reason)\s*=(?!=)")
_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_COMMENT = re.compile(r"(?m)//.*$")
# Its one function returns what is printed each time it changes.
_NOTICE = re.compile(r"\breturn\(\s*\"")
# A text of fewer words is a name or a piece of grammar; the sentence around it is looked for.
_WORDS_MIN = 3


def _statement(text: str, at: int) -> str:
    """Return what follows up to the semicolon that is in no string."""
    quoted = False
    for end in range(at, len(text)):
        if text[end] == '"' and text[end - 1] != "\\":
            quoted = not quoted
        elif text[end] == ";" and not quoted:
            return text[at:end]
    return text[at:]


def told_by(source: str, tells: re.Pattern[str] = _TELLS) -> list[str]:
    """Return the sentences, or pieces of sentences, that a source tells a person."""
    text = _COMMENT.sub("", source.replace("\r\n", "\n"))
    found = []
    for start in tells.finditer(text):
        statement = re.sub(r'"\s*\+?\s*"', "", _statement(text, start.start()))
        for piece in _LITERAL.findall(statement):
            words = piece.replace("\\\\", "\\").strip(" :;,(")
            words = words.removeprefix("Bridge: ")
            if len(words.split()) >= _WORDS_MIN:
                found.append(words)
    return found


def _sources() -> list[Path]:
    return [path for path in sorted(MQL4.rglob("*.mq?")) if path.suffix in (".mqh", ".mq4")]


def _page() -> str:
    # In a table a bar is written with a backslash; a line may break anywhere.
    return " ".join(README.read_text("utf-8").replace("\\|", "|").split())


def test_every_sentence_that_the_advisor_tells_is_in_the_table() -> None:
    page = _page()
    told = {piece: path.name for path in _sources() for piece in told_by(path.read_text("utf-8"))}
    notice = (MQL4 / "Include/Bridge/Notice.mqh").read_text("utf-8")
    told |= dict.fromkeys(told_by(notice, _NOTICE), "Notice.mqh")
    assert len(told) >= 30
    missing = sorted(f"{name}: {piece}" for piece, name in told.items() if piece not in page)
    assert not missing, "\n".join(missing)


def test_what_is_told_is_found_however_it_is_written() -> None:
    source = """
       why = "DLL imports are not allowed: tick"
             " the box; then again";          // "not this one at all"
       if(bad) Print("Bridge: ", level, " key file " + name + " is too old; copy it");
       room.alerts.Raise("error", "CODE", "closing what is open: " + about);
       Log("this is told to nobody here");
       if(why == "this is compared and told to nobody") return;
    """
    assert told_by(source) == [
        "DLL imports are not allowed: tick the box; then again",
        "is too old; copy it",
        "closing what is open",
    ]


def test_every_input_is_described_with_its_default() -> None:
    source = (MQL4 / "Experts/BridgeEA.mq4").read_text("utf-8")
    inputs = dict(re.findall(r"(?m)^input\s+\w+\s+(\w+)\s*=\s*([^;]+);", source))
    assert len(inputs) == 11
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| ([^|]+?) \|", README.read_text("utf-8")))
    for name, default in inputs.items():
        told = rows[name].strip("` ")
        assert told.startswith("empty" if default == '""' else default.strip('"')), name


@pytest.mark.parametrize("kind", ["demo", "real"])
def test_init_names_only_inputs_that_the_advisor_has(kind: str) -> None:
    source = (MQL4 / "Experts/BridgeEA.mq4").read_text("utf-8")
    inputs = set(re.findall(r"(?m)^input\s+\w+\s+(\w+)\s*=", source))
    plan = Plan(
        name="gold", symbols=("EURUSD", "XAUUSD"), max_volume="0.05", prices="", port=5555,
        mode="live", backend="ea", terminal=Terminal(1, "Broker-Demo", kind),
    )  # fmt: skip
    assert set(_ea_inputs(plan)) <= inputs
    assert len(_ea_inputs(plan)) == 5 + (kind == "real")


def test_the_dll_that_the_page_speaks_of_exports_what_the_advisor_imports() -> None:
    block = re.search(
        r'(?ms)^#import "libzmq\.dll"$(.*?)^#import$',
        (MQL4 / "Include/Bridge/Zmq.mqh").read_text("utf-8").replace("\r\n", "\n"),
    )
    assert block is not None
    count = len(re.findall(r"\bzmq_\w+\(", block[1]))
    assert f"{count} of {count} functions exported" in (ROOT / "mql4/libzmq/README.md").read_text()
