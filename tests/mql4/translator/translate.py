"""From a main file to a C++ unit: preprocess, parse, lint, emit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.mql4.translator.builtins import Builtins
from tests.mql4.translator.emitter import HEAD, Emitter
from tests.mql4.translator.findings import Finding, Findings
from tests.mql4.translator.lint import lint
from tests.mql4.translator.parser import Parser
from tests.mql4.translator.preprocessor import Preprocessor
from tests.mql4.translator.tokens import SourceError

__all__ = ["NAMESPACE", "Translation", "translate"]

NAMESPACE: Final = "ea"


class Translation(NamedTuple):
    """What became of a main file; `cpp` is "" if it has findings."""

    findings: list[Finding]
    cpp: str  # the namespace with the program
    properties: list[str]
    files: list[Path]  # the main file and its includes, resolved

    def unit(self, namespace: str = NAMESPACE) -> str:
        """The whole C++ unit of a program that stands alone."""
        properties = ", ".join(json.dumps(line) for line in self.properties)
        return (
            f"{HEAD}{self.cpp}"
            f"void mql_hooks(MqlHooks &h) {{ {namespace}::hooks(h); }}\n"
            "const std::vector<std::string> &mql_properties() {\n"
            f"  static const std::vector<std::string> lines{{{properties}}};\n"
            "  return lines;\n}\n"
        )


def translate(
    path: Path,
    include_dirs: Sequence[Path] = (),
    builtins: Builtins | None = None,
    namespace: str = NAMESPACE,
) -> Translation:
    """Translates `path`; never raises for what the source says.

    Raises OSError if the main file cannot be read.
    """
    known = builtins if builtins is not None else Builtins.of_harness()
    findings = Findings()
    preprocessor = Preprocessor(include_dirs, findings)
    stream = preprocessor.run(path)
    program = Parser(stream, known.types, findings).program()
    lint(program, stream, known, findings)
    cpp = ""
    if not findings:
        try:
            cpp = Emitter(program, namespace).emit()
        except SourceError as error:
            findings.error(error)
    return Translation(findings.sorted(), cpp, preprocessor.properties, preprocessor.files)
