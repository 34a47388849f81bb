"""Each built-in does what its documentation page says; no terminal is at hand to ask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mql4.needs import needs_compiler
from tests.mql4.terminal import Terminal

pytestmark = needs_compiler

# docs.mql4.com: the page is named in builtins/*.hpp beside the declaration.
EXPECTED = {
    "substr": "cde",
    "substr_rest": "ef",
    "substr_past": "|",
    "find": "3",
    "find_none": "-1",
    "getchar": "98",
    "setchar_append": "abcd",
    "setchar_cut": "a",
    "split": "4//c",
    "split_empty": "0",
    "replace": "2/a+b+c",
    "trim": "x|",
    "upper": "ABC1",
    "lower": "abc1",
    "compare": "-10",
    "integer": "-42",
    "integer_none": "0",
    "double": "1.2500",
    "double_word": "0.0",
    "double_hex": "0.0",
    "time": "1577934240",
    "short": "€x",
    "concat": "a1true",
    "tochars": "3/616200",
    "tochars_keeps": "2/7a0000",
    "tochars_count": "2/6162",
    "utf8": "e282ac00",
    "fromchars": "AB",
    "fromchars_part": "CD",
    "normalize": "1.23457000",
    "abs_max_min": "352",
    "round": "3-22",
    "valid": "false",
    "sha256": f"32/{hashlib.sha256(b'abc').hexdigest()}",
    "sha256_long": hashlib.sha256(b"a" * 1000).hexdigest(),
    "struct": "2020.3.1 0 60",
    "back": "1583020800",
    "offset": "0",
    "slept": "true",
    "error_first": "4058 0",
    "error_again": "0",
    "error_symbol": "4106",
    "select_fails": "false4108",
    "temp": "truefalse",
    "condition": "falsetrue",
    "global": "7.0true",
    "global_deleted": "truefalse",
    "write": "5/5/5",
    "read": "3/020304/false",
    "second_open": "-1",
    "delete_open": "false",
    "move": "truefalsetrue",
    "size_by_name": "5",
    "emptied": "0",
    "lines": "first/second/true",
    "delete": "truefalse",
    "open_missing": "-1/5004",
    "symbol": "EURUSD2USDJPY",
    "spec": "0.00001 3 0.01",
    "currencies": "EURUSD",
    "account": "12345678Broker-DemoUSD100true",
    "balance": "10000.00/10000.00",
    "check_margin": "8914.88",
    "build": "14200",
    "tick": "true1.08500",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder: Path = tmp_path_factory.mktemp("builtins")
    with Terminal(folder, inputs={}, source="programs/Builtins.mq4", sanitize=True) as terminal:
        assert terminal.start() == 0
        yield dict(line.split("=", 1) for line in terminal.prints)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_built_in_keeps_the_promise_of_its_page(said: dict[str, str], name: str) -> None:
    assert said[name] == EXPECTED[name]


def test_every_line_of_the_program_is_held_against_something(said: dict[str, str]) -> None:
    assert set(said) == set(EXPECTED)
