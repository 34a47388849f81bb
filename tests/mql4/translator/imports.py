"""`#import` blocks as C++: the DLL's function as the shim defines it, and the call of it."""

from __future__ import annotations

import re
from collections import Counter

from tests.mql4.translator.declarations import DeclarationWriter
from tests.mql4.translator.tree import Function, Import, Param

__all__ = ["ImportWriter"]


class ImportWriter:
    """Puts imports into a writer; overloads of one DLL function are numbered from the second on."""

    def __init__(self, declarations: DeclarationWriter, records: set[str]) -> None:
        self.declarations = declarations
        self.records = records
        self.seen: Counter[str] = Counter()

    def block(self, block: Import) -> None:
        """One `#import` block."""
        library = re.sub(r"\W", "_", block.library.lower().rsplit(".", 1)[0])
        for function in block.functions:
            symbol = f"mqldll_{library}__{function.name}"
            self.seen[symbol] += 1
            if self.seen[symbol] > 1:
                symbol += f"_{self.seen[symbol]}"
            self.function(block.library, symbol, function)

    def function(self, library: str, symbol: str, function: Function) -> None:
        """One function: prototype of the shim, and the call the program makes."""
        put = self.declarations.writer.put
        assert function.type is not None
        named = [
            Param(param.type, param.name or f"p{at}", param.dims, param.default, param.where)
            for at, param in enumerate(function.params)
        ]
        raw = ", ".join(self.raw_type(param) for param in named)
        put(f'extern "C" {function.type.word} {symbol}({raw});', function.where)
        shown = ", ".join(self.declarations.param(function, param) for param in named)
        passed = ", ".join(self.passed(function, param) for param in named)
        put(f"inline {function.type.word} {function.name}({shown}) {{")
        put(f'mql_dll_call("{library}", "{function.name}"); return {symbol}({passed}); }}')

    def raw_type(self, param: Param) -> str:
        """What the DLL is given."""
        if param.dims is not None:
            return "MqlBuf"
        if param.type.ref:
            return "void *" if param.type.word in self.records else f"{param.type.word} *"
        return "const char16_t *" if param.type.word == "string" else param.type.word

    def passed(self, function: Function, param: Param) -> str:
        """How one argument goes on to the shim."""
        if param.dims is not None:
            return f"{param.name}.dll()"
        if param.type.ref:
            wrapped = self.declarations.wrapped(function, param)
            value = f"{param.name}__lv.r" if wrapped else param.name
            return f"const_cast<{param.type.word} *>(&{value})"
        return f"{param.name}.c16()" if param.type.word == "string" else param.name
