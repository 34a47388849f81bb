"""The lint: text rules on bytes, the line a finding stands at, and what is no finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mql4.translator.builtins import Builtins
from tests.mql4.translator.findings import RULES, Finding
from tests.mql4.translator.translate import translate
from tests.mql4.translator.vocabulary import FOREIGN, HANDLERS, MUST_USE, RESERVED

STRICT = b"#property strict\r\n"
BODY = b"int OnInit() { return(0); }\r\n"


def findings_of(source: bytes, folder: Path, name: str = "x.mq4") -> list[Finding]:
    path = folder / name
    path.write_bytes(source)
    return translate(path).findings


def codes(source: bytes, folder: Path) -> list[tuple[str, int]]:
    return [(one.code, one.where.line) for one in findings_of(source, folder)]


def test_a_utf8_byte_order_mark_is_refused(tmp_path: Path) -> None:
    assert codes(b"\xef\xbb\xbf" + STRICT + BODY, tmp_path) == [("L101", 1)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf16_is_refused(encoding: str, tmp_path: Path) -> None:
    mark = "" if encoding == "utf-16" else "\ufeff"
    source = (mark + (STRICT + BODY).decode()).encode(encoding)
    assert codes(source, tmp_path) == [("L101", 1)]


@pytest.mark.parametrize("place", [b"// caf\xc3\xa9", b'string s = "\xe9";'])
def test_what_is_not_ascii_is_refused_in_comments_and_texts(place: bytes, tmp_path: Path) -> None:
    assert codes(STRICT + b"\r\n" + place + b"\r\n" + BODY, tmp_path) == [("L102", 3)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_both_line_ends_count_lines_alike(end: bytes, tmp_path: Path) -> None:
    source = end.join([b"#property strict", b"/* one", b"two */", b"int a[0];", BODY.strip()])
    assert codes(source, tmp_path) == [("L314", 4)]


def test_a_finding_in_a_header_stands_in_the_header(tmp_path: Path) -> None:
    (tmp_path / "part.mqh").write_bytes(b"\nint Part() { return(nullptr); }\n")
    (found,) = findings_of(STRICT + b'#include "part.mqh"\n' + BODY, tmp_path)
    assert (Path(found.where.path).name, found.where.line, found.code) == ("part.mqh", 2, "L301")


def test_a_macro_is_judged_where_it_is_used(tmp_path: Path) -> None:
    source = STRICT + b"#define PTR nullptr\n\nint OnInit() {\n return(PTR);\n}\n"
    assert codes(source, tmp_path) == [("L301", 5)]


def test_a_header_needs_no_strict_of_its_own(tmp_path: Path) -> None:
    assert findings_of(b"int F() { return(1); }\n", tmp_path, "part.mqh") == []


def test_strict_in_a_header_does_not_make_the_program_strict(tmp_path: Path) -> None:
    (tmp_path / "part.mqh").write_bytes(STRICT)
    assert codes(b'#include "part.mqh"\n' + BODY, tmp_path) == [("L201", 1)]


def test_branches_that_are_not_taken_are_not_judged(tmp_path: Path) -> None:
    source = STRICT + b"#ifdef __MQL5__\nauto x = new C;\n#include <no.mqh>\n#endif\n" + BODY
    assert codes(source, tmp_path) == []


@pytest.mark.parametrize("word", sorted(FOREIGN))
def test_a_foreign_word_is_refused_as_a_name(word: str, tmp_path: Path) -> None:
    source = STRICT + f"int {word} = 1;\n".encode() + BODY
    assert ("L301", 2) in codes(source, tmp_path)


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_a_reserved_word_is_refused_as_a_name(word: str, tmp_path: Path) -> None:
    source = STRICT + f"void F() {{ int {word} = 1; }}\n".encode() + BODY
    assert codes(source, tmp_path)


@pytest.mark.parametrize("name", sorted(MUST_USE))
def test_a_trade_result_that_is_dropped_is_refused(name: str, tmp_path: Path) -> None:
    source = STRICT + f"void OnTick() {{ if(true) {name}(1); }}\n".encode()
    assert ("L402", 2) in codes(source, tmp_path)


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_a_handler_of_a_wrong_form_is_refused(name: str, tmp_path: Path) -> None:
    source = STRICT + f"string {name}(string a) {{ return(a); }}\n".encode()
    assert codes(source, tmp_path) == [("L320", 2)]


def test_a_method_may_have_the_name_of_a_built_in_or_handler(tmp_path: Path) -> None:
    source = STRICT + b"class C { public: int StringLen() { return(1); } void OnTimer(int a) {} };"
    assert codes(source + BODY, tmp_path) == []


def test_a_call_of_an_inherited_method_is_known(tmp_path: Path) -> None:
    source = (
        b"class A { protected: void Base() {} };\n"
        b"class B : public A { public: void F() { Base(); Own(); } void Own() {} };\n"
    )
    assert codes(STRICT + source + BODY, tmp_path) == []


def test_a_local_name_hides_what_is_known_of_a_global_one(tmp_path: Path) -> None:
    source = (
        b"const int n = 1;\nvoid F() { int n; n = 2; }\nvoid G() { string n[2]; n[0] = NULL; }\n"
    )
    assert codes(STRICT + source + BODY, tmp_path) == []


def test_a_local_name_is_forgotten_behind_its_block(tmp_path: Path) -> None:
    source = b"int a[2];\nvoid F() { { string a; a = NULL; } a[0] = 1; }\n"
    assert codes(STRICT + source + BODY, tmp_path) == []


def test_the_first_syntax_error_stops_the_reading_and_says_where(tmp_path: Path) -> None:
    (found,) = findings_of(STRICT + b"int F()\n  {\n   if(true\n  }\n", tmp_path)
    assert (found.code, found.where.line) == ("L300", 5)
    assert found.message == "`)` expected before `}`"


def test_every_finding_says_what_it_is_about_in_one_line(tmp_path: Path) -> None:
    (found,) = findings_of(STRICT + b"void F(int a[]) {}\n" + BODY, tmp_path)
    path = tmp_path / "x.mq4"
    assert str(found) == f"{path}:2: L305 a: {RULES['L305']}"


def test_the_built_ins_are_those_that_the_headers_declare(tmp_path: Path) -> None:
    header = tmp_path / "one.hpp"
    header.write_text(
        "// int Hidden(int a);\n"
        "[[nodiscard]] bool OrderSelect(int index,\n                 int pool = MODE_TRADES);\n"
        "template <class T>\nint ArraySize(const MqlArray<T> &a) {\n  return Inner(a);\n}\n"
        "bool SymbolInfoTick(const string &symbol, MqlTick &tick);\n"
        "enum ENUM_X { ONE = 1, TWO };\nconstexpr int THREE = 3;\nstruct MqlTick { int a; };\n"
        "void mql_helper(int a);\nstruct MqlArg {};\n",
        "utf-8",
    )
    known = Builtins.read([header])
    assert known.functions == {"OrderSelect", "ArraySize", "SymbolInfoTick"}
    assert known.types == {"ENUM_X", "MqlTick"}
    assert known.constants == {"ONE", "TWO", "THREE"}
    assert known.out_params["SymbolInfoTick"] == {1}
    assert known.out_params["ArraySize"] == frozenset()
