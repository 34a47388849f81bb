"""What the lint says: a code, a line, a sentence; and the table of all codes."""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.mql4.translator.tokens import SourceError, Where

__all__ = ["RULES", "Finding", "Findings"]

# Code -> rule. 1xx text, 2xx preprocessor, 3xx declarations, 4xx statements and calls. The number
# in brackets is what MetaEditor's compiler says of it.
RULES: Final[dict[str, str]] = {
    "L101": "the file begins with a byte order mark or is UTF-16: save it as plain ASCII [116]",
    "L102": "only ASCII: what other letters mean depends on the code page of the PC that compiles",
    "L103": "a character that MQL4 does not know [110]",
    "L104": "numbers have no suffix, digit separator or binary form [152]",
    "L105": "an escape that MQL4 does not know [86]",
    "L106": "a name has at most 63 characters [126]",
    "L107": "a text, character or comment without its end [102]",
    "L201": "the main file says `#property strict`",
    "L202": "a directive that MQL4 does not have [109]",
    "L203": "an include file that is not there [106]",
    "L204": "a malformed directive or macro call",
    "L205": "#ifdef without #endif, or the reverse",
    "L300": "the source cannot be read here",
    "L301": "a word of C++ or of newer compilers, outside the common subset [116, 152, 256]",
    "L302": "a reserved word as a name [149, 228]",
    "L303": "a declaration without a known type [256]",
    "L304": "only declarations at global scope and in a class [116, 149]",
    "L305": "arrays are passed by reference: `type &name[]` [294]",
    "L306": "objects are passed by reference: `const type &name` [293]",
    "L307": "a reference parameter has no default [138]",
    "L308": "a reference can only be a parameter [229]",
    "L309": "no object pointers: no `*`, `->`, new, delete (outside the subset)",
    "L310": "no class templates [359]",
    "L311": "no pure virtual functions, no override [116]",
    "L312": "a class has one base [141]",
    "L313": "members are initialised by the constructor [219]",
    "L314": "an array dimension is a number, a macro, an enumerator or sizeof, and positive [203]",
    "L315": "arrays have at most two dimensions (outside the subset)",
    "L316": "`;` after the closing brace of a struct, class or enum [154]",
    "L317": "no `enum class` [116]",
    "L318": "a structure with strings or dynamic arrays is not copied or returned [216, 293]",
    "L319": "a function with a result ends in a return statement [117]",
    "L320": "an event handler of the wrong form is silently never called [70]",
    "L321": "a function of this name is built in [271]",
    "L322": "a function does not return an array [175]",
    "L323": "no function inside a function [117, 143]",
    "L324": "local variables of more than 512 KB: make the array global [26]",
    "L325": "a struct has no virtual methods, and a class and a struct do not inherit [docs]",
    "L401": "no comma operator [154]",
    "L402": "the result of a trade or select call must be used [83]",
    "L403": "a string is not indexed: StringGetCharacter [241]",
    "L404": "an array is not assigned: ArrayCopy [120]",
    "L405": "a constant, input or const array is assigned to [189]",
    "L406": "a reference parameter takes a variable of its type [200, 246]",
    "L407": "switch works on integers [197, 260]",
    "L408": "division by zero [198]",
    "L409": "% works on integers [150]",
    "L410": "no function of this name is declared, nor built in [168]",
    "L411": "return without a value in a function with a result, or the reverse [121]",
    "L412": "a local name hides a predefined variable [64]",
    "L413": "strings know + and comparisons only [150]",
    "L414": "an operator or a `;` is missing [152]",
    "L415": "braces hold values only where a variable is declared [149]",
    "L416": "MQL4 has it, but the harness does not: add it to tests/mql4/builtins, with its page",
    "L417": "a global value reads an input: it would keep the first one; read it in OnInit",
}


class Finding(NamedTuple):
    """One breach of a rule."""

    where: Where
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.where.path}:{self.where.line}: {self.code} {self.message}"


class Findings:
    """Collects findings, each line and code once."""

    def __init__(self) -> None:
        self._all: dict[tuple[Where, str, str], Finding] = {}

    def add(self, code: str, where: Where, subject: str = "") -> None:
        """Notes a breach of the rule `code`; `subject` is what it is about."""
        message = f"{subject}: {RULES[code]}" if subject else RULES[code]
        self._all.setdefault((where, code, subject), Finding(where, code, message))

    def error(self, error: SourceError) -> None:
        """Notes that the source could not be read on."""
        self._all.setdefault(
            (error.where, "L300", error.message), Finding(error.where, "L300", error.message)
        )

    def sorted(self) -> list[Finding]:
        """All findings, by file and line."""
        return sorted(self._all.values())

    def __bool__(self) -> bool:
        return bool(self._all)
