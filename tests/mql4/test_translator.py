"""The translator: lines, includes, imports, and the command that checks a program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mql4 import check
from tests.mql4.diagnostics import Message, read_messages
from tests.mql4.needs import needs_compiler
from tests.mql4.toolchain import HARNESS, MISSING
from tests.mql4.translator.translate import Translation, translate
from tests.mql4.translator.vocabulary import words

ROOT = HARNESS.parents[1]
GOOD = "#property strict\nint OnInit() { return(0); }\n"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


def translated(source: str, folder: Path, **files: str) -> Translation:
    for name, text in files.items():
        (folder / f"{name}.mqh").write_text(text, "utf-8")
    path = folder / "main.mq4"
    path.write_text(source, "utf-8")
    made = translate(path, [folder])
    assert made.findings == []
    return made


def lines_of(made: Translation, word: str) -> list[tuple[str, int]]:
    """The places, by #line, at which a word stands in the C++ unit."""
    places, path, line = [], "", 0
    for text in made.cpp.split("\n"):
        match = re.match(r'#line (\d+) "(.*)"', text)
        if match:
            line, path = int(match[1]), Path(match[2]).name
            continue
        places += [(path, line)] * len(re.findall(rf"\b{word}\b", text))
        line += 1
    return places


def test_every_word_stays_on_its_line(tmp_path: Path) -> None:
    source = (
        "#property strict\n\n\nint OnInit()\n  {\n"
        "   int here =\n\n      1\n      + 2;\n   return(here);\n  }\n"
    )
    made = translated(source, tmp_path)
    assert lines_of(made, "here") == [("main.mq4", 6), ("main.mq4", 10)]
    assert lines_of(made, "2") == [("main.mq4", 9)]


def test_words_of_a_header_stay_in_the_header(tmp_path: Path) -> None:
    made = translated(
        "#property strict\n#include <part.mqh>\nint OnInit() { return(Part()); }\n",
        tmp_path, part="\n\nint Part()\n  {\n   return(0);\n  }\n",
    )  # fmt: skip
    # Its prototype, its definition, the call.
    assert sorted(lines_of(made, "Part")) == [("main.mq4", 3), ("part.mqh", 3), ("part.mqh", 3)]


def test_a_header_is_taken_once(tmp_path: Path) -> None:
    made = translated(
        '#property strict\n#include "part.mqh"\n#include <other.mqh>\n'
        "int OnInit() { return(a); }\n",
        tmp_path, part="int a = 0;\n", other='#include "part.mqh"\n',
    )  # fmt: skip
    assert len(re.findall(r"extern int a;", made.cpp)) == 1
    assert [path.name for path in made.files] == ["main.mq4", "part.mqh", "other.mqh"]


def test_properties_of_the_main_file_are_kept_in_order(tmp_path: Path) -> None:
    made = translated(
        '#property strict\n#property version "1.0" // now\nvoid OnTick() {}\n', tmp_path
    )
    assert made.properties == ["strict", 'version "1.0"']
    assert r'{"strict", "version \"1.0\""}' in made.unit()


def test_overloads_of_a_dll_function_get_numbers_in_their_order(tmp_path: Path) -> None:
    made = translated(
        '#property strict\n#import "My-Lib.DLL"\nint F(int &a);\nint F(const uchar &b[]);\n'
        "int G(string s);\n#import\nvoid OnTick() {}\n",
        tmp_path,
    )
    wanted = (
        r"mqldll_my_lib__F\(int \*\)", r"mqldll_my_lib__F_2\(MqlBuf\)",
        r"mqldll_my_lib__G\(const char16_t \*\)",
    )  # fmt: skip
    for prototype in wanted:
        assert re.search(r'extern "C" int ' + prototype, made.cpp)
    assert 'mql_dll_call("My-Lib.DLL", "F")' in made.cpp


def test_only_handlers_that_exist_are_hooked(tmp_path: Path) -> None:
    made = translated("#property strict\nvoid OnInit() {}\nvoid OnTimer() {}\n", tmp_path)
    assert re.findall(r"h\.(\w+) =", made.cpp) == ["OnInit", "OnTimer"]


def test_a_record_that_holds_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "main.mq4"
    path.write_text("#property strict\nstruct A { B b; };\nstruct B { A a; };\nvoid OnTick() {}\n")
    made = translate(path)
    assert [found.code for found in made.findings] == ["L300"]
    assert made.cpp == ""


@pytest.mark.parametrize(
    "damage", ["", "\0", "#", "#define", "#import", "{", "}", '"', "'", "class", "int", "int F(",
               "enum { A", '#import "a.dll"\nint F(', "void F() { for(",
               "void F() { switch(1) { case", "int a = 1 \0 2;"]
)  # fmt: skip
def test_damaged_source_is_a_finding_never_a_crash(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "main.mq4"
    path.write_text("#property strict\n" + damage, "utf-8")
    made = translate(path)
    assert bool(made.findings) != bool(made.cpp)


def test_every_cut_of_a_program_is_a_finding_or_a_program(tmp_path: Path) -> None:
    source = (
        "#property strict\n#define SQ(x) ((x)*(x))\nenum E { A = 1, B };\n"
        "class C : public D { int m[2]; public: C() : D(1) {} virtual int F(const int &a); };\n"
        "int OnInit() { switch(SQ(2)) { case 1: break; } do { } while(false); return(0); }\n"
    )
    path = tmp_path / "main.mq4"
    for end in range(17, len(source)):
        path.write_text(source[:end], "utf-8")
        made = translate(path)
        assert bool(made.findings) != bool(made.cpp), source[:end]


PIECES = words(
    """
    int a class C struct S enum E { } ( ) [ ] ; , = == + / % . :: ~ & * < > ? : 1 0x 1.5 'c'
    const static input template typename virtual operator public: if else for while do switch
    case default return break this new delete #define #ifdef #endif #import #include #property
    D'2020.01.01' C'1,2' NULL __LINE__ void string OnInit
    """
)
ENDS = ('"text"', "\n", '\n#import "a.dll"\n')


@settings(max_examples=300, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from([*sorted(PIECES), '"text"', "\n", '\n#import "a.dll"\n']), max_size=40
    )
)
def test_any_row_of_words_is_a_finding_or_a_program(pieces: list[str], scratch: Path) -> None:
    path = scratch / "main.mq4"
    path.write_text("#property strict\n" + " ".join(pieces), "utf-8")
    made = translate(path)
    assert bool(made.findings) != bool(made.cpp)


# --- the compiler's messages ---------------------------------------------------------------------


def test_a_message_about_a_header_of_the_harness_moves_to_the_line_it_came_from() -> None:
    header = HARNESS / "runtime" / "format.hpp"
    output = (
        f"{header}: In instantiation of 'void Print(...)':\n"
        "x.mq4:7:9:   required from here\n"
        f"{header}:60: error: no conversion from 'MqlArray<int>' to 'ea::C' [-Werror=conversion]\n"
        "x.mq4:9: warning: unused [-Wunused]\n"
        "x.mq4:9: note: not shown\n"
    )
    assert read_messages(output.replace(":7:9:", ":7:")) == [
        Message("x.mq4", 7, "-Wconversion", "no conversion from 'int[]' to 'C'"),
        Message("x.mq4", 9, "-Wunused", "unused"),
    ]


# --- the command ---------------------------------------------------------------------------------


@needs_compiler
def test_a_clean_program_outside_the_tree_is_clean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "Mine.mq4"
    path.write_text(GOOD, "utf-8")
    assert check.main([str(path)]) == check.EXIT_CLEAN
    assert capsys.readouterr().out == f"{path}: no findings\n"


@needs_compiler
def test_a_type_error_is_shown_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "Mine.mq4"
    path.write_text(
        GOOD + "\nvoid OnTick()\n  {\n   double d = 1.5;\n   int i = d;\n  }\n", "utf-8"
    )
    assert check.main([str(path)]) == check.EXIT_FINDINGS
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"{path}: 1 finding"
    assert shown[1].startswith(f"{path}:7: -Wfloat-conversion: ")
    assert shown[2] == "    int i = d;"


def test_lint_findings_need_no_compiler(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    path = tmp_path / "Mine.mq4"
    path.write_text(GOOD + "auto x = 1;\n", "utf-8")
    assert check.main(["--lint-only", str(path)]) == check.EXIT_FINDINGS
    assert f"{path}:3: L301: auto: " in capsys.readouterr().out


def test_a_missing_compiler_is_said_and_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    path = tmp_path / "Mine.mq4"
    path.write_text(GOOD, "utf-8")
    assert check.main([str(path)]) == check.EXIT_UNCHECKED
    assert MISSING in capsys.readouterr().err


def test_a_missing_file_is_said_and_the_others_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "Mine.mq4"
    path.write_text(GOOD, "utf-8")
    absent = tmp_path / "Absent.mq4"
    assert check.main(["--lint-only", str(absent), str(path)]) == check.EXIT_UNCHECKED
    said = capsys.readouterr()
    assert f"{absent}: No such file" in said.err
    assert f"{path}: no findings" in said.out


def test_includes_are_found_beside_above_and_where_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "MQL4" / "Experts").mkdir(parents=True)
    (tmp_path / "MQL4" / "Include").mkdir()
    (tmp_path / "given").mkdir()
    (tmp_path / "MQL4" / "Include" / "above.mqh").write_text("int above = 1;\n")
    (tmp_path / "MQL4" / "Experts" / "beside.mqh").write_text("int beside = 1;\n")
    (tmp_path / "given" / "told.mqh").write_text("int told = 1;\n")
    path = tmp_path / "MQL4" / "Experts" / "Mine.mq4"
    path.write_text('#include <above.mqh>\n#include "beside.mqh"\n#include <told.mqh>\n' + GOOD)
    assert check.main(["--lint-only", "--include", str(tmp_path / "given"), str(path)]) == 0


def test_the_rules_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["--rules"]) == check.EXIT_CLEAN
    assert "L402  the result of a trade or select call must be used [83]" in capsys.readouterr().out


def test_the_command_needs_nothing_but_python(tmp_path: Path) -> None:
    path = tmp_path / "Mine.mq4"
    path.write_text(GOOD, "utf-8")
    ran = subprocess.run(
        [sys.executable, "-S", "-m", "tests.mql4.check", "--lint-only", str(path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, f"{path}: no findings\n")


@needs_compiler
@pytest.mark.parametrize(
    ("body", "meaning"),
    [
        ('c.Say("x");', "a `const string &` parameter takes a variable, no literal or temporary"),
        ("s = s + 5;", "string + int: write (string)x"),
        ("b = a;", "SText holds a string or a dynamic array: it is not copied"),
        ("x = r.d % y;", "double % ...: the operands do not fit"),
        ("x = y / s;", "int / ...: the operands do not fit"),
    ],
)
def test_a_rule_that_the_compiler_finds_is_said_in_words_of_mql4(
    body: str, meaning: str, tmp_path: Path
) -> None:
    path = tmp_path / "Mine.mq4"
    path.write_text(
        "#property strict\nstruct SText { string s; };\n"
        "class C { public: void Say(const string &s) { Print(s); } };\n"
        'void OnTick() { C c; SText a, b; string s = ""; int x, y = 2; SReal r; double d = r.d;\n'
        f"{body}\n}}\nstruct SReal {{ double d; SReal() {{ d = 1; }} }};\n",
        "utf-8",
    )
    texts = [message.text for message in check.check(path, (), lint_only=False)]
    assert meaning in texts, texts
