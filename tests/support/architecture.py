"""The import law and the budgets, as one function over a source tree.

`breaches(root)` returns one sentence for each breach; an empty list is a clean house.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["PACKAGES", "breaches", "floor_of", "size_breaches"]

PACKAGES: Final = ("bridge_core", "bridge_server", "bridge_client")
MODULE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 60

# The longest prefix of a module's dotted name decides; a module without a floor is a breach.
FLOORS: Final[dict[str, int]] = {
    "bridge_core": 0,
    "bridge_core.protocol": 0,
    "bridge_core.host": 2,
    "bridge_core.risk": 1,
    "bridge_server": 0,
    "bridge_server.core": 1,
    "bridge_server.backends": 2,
    "bridge_server.health": 1,
    "bridge_server.policy": 1,
    "bridge_server.views": 1,
    "bridge_server.replier": 1,
    "bridge_server.counter": 2,
    "bridge_server.journal": 2,
    "bridge_server.journal_row": 2,
    "bridge_server.reads": 3,
    "bridge_server.alarms": 2,
    "bridge_server.guard": 2,
    "bridge_server.worker": 2,
    "bridge_server.publisher": 2,
    "bridge_server.transport": 2,
    "bridge_server.settings": 2,
    "bridge_server.admin": 3,
    "bridge_server.answers": 3,
    "bridge_server.attesting": 3,
    "bridge_server.context": 3,
    "bridge_server.dead_man": 3,
    "bridge_server.fatal": 3,
    "bridge_server.flatten": 3,
    "bridge_server.flight": 3,
    "bridge_server.ghosts": 3,
    "bridge_server.held_stops": 3,
    "bridge_server.lifecycle": 3,
    "bridge_server.lives": 3,
    "bridge_server.orphans": 3,
    "bridge_server.picturing": 3,
    "bridge_server.pulse": 3,
    "bridge_server.refusals": 3,
    "bridge_server.risk_keeper": 3,
    "bridge_server.rows": 3,
    "bridge_server.service": 3,
    "bridge_server.settlement": 3,
    "bridge_server.telling": 3,
    "bridge_server.checks": 4,
    "bridge_server.checks_mt5": 4,
    "bridge_server.checks_mt5_market": 4,
    "bridge_server.checkup": 4,
    "bridge_server.record": 4,
    "bridge_server.services": 4,
    "bridge_server.wiring": 4,
    "bridge_server.cli": 4,
    "bridge_server.__main__": 4,
    "bridge_client": 3,
    "bridge_client.attest": 1,
    "bridge_client.facts": 1,
    "bridge_client.happenings": 1,
    "bridge_client.life": 1,
    "bridge_client.proof": 1,
    "bridge_client.proof_checks": 1,
    "bridge_client.proof_history": 1,
    "bridge_client.proof_making": 1,
    "bridge_client.proof_ledger": 2,
    "bridge_client.proof_reading": 1,
    "bridge_client.report": 1,
    "bridge_client.report_math": 1,
    "bridge_client.report_rows": 1,
    "bridge_client.session": 1,
    "bridge_client.streams": 1,
    "bridge_client.views": 1,
    "bridge_client.witness": 1,
    "bridge_client.result": 1,
    "bridge_client.numbers": 1,
    "bridge_client.risk": 1,
    "bridge_client.alarms": 2,
    "bridge_client.seen": 1,
    "bridge_client.journal": 2,
    "bridge_client.transport": 2,
    "bridge_client.mailbox": 2,
    "bridge_client.rawwire": 2,
    "bridge_client.settings": 2,
    "bridge_client.events": 2,
    "bridge_client.admission": 3,
    "bridge_client.book": 3,
    "bridge_client.connector": 3,
    "bridge_client.desk": 3,
    "bridge_client.drafts": 3,
    "bridge_client.emergency": 3,
    "bridge_client.evidence": 3,
    "bridge_client.following": 3,
    "bridge_client.heartbeat": 3,
    "bridge_client.house": 3,
    "bridge_client.judging": 3,
    "bridge_client.link": 3,
    "bridge_client.link_watch": 3,
    "bridge_client.opening": 3,
    "bridge_client.order": 3,
    "bridge_client.queries": 3,
    "bridge_client.recall": 3,
    "bridge_client.resolver": 3,
    "bridge_client.risk_keeper": 3,
    "bridge_client.stopping": 3,
    "bridge_client.accounts": 3,
    "bridge_client.testing": 3,
    "bridge_client.cli": 4,
    "bridge_client.demo": 4,
    "bridge_client.__main__": 4,
}
# A package's own name is no room: what lies directly in it must be listed, or be its __init__.
_ROOTS: Final = frozenset(PACKAGES)

DOORS: Final[dict[str, frozenset[str]]] = {
    "zmq": frozenset(
        {
            "bridge_core.host.sockets",
            "bridge_server.transport",
            "bridge_client.transport",
            "bridge_client.rawwire",
            "bridge_server.backends.ea_link",
        }
    ),
    "cryptography": frozenset({"bridge_core.protocol.keys", "bridge_core.host.keyfiles"}),
    "sqlite3": frozenset({"bridge_core.host.sqlite"}),
    "dotenv": frozenset({"bridge_core.host.settings"}),
    "MetaTrader5": frozenset({"bridge_server.backends.mt5_worker"}),
    "pytest": frozenset({"bridge_client.testing"}),
    "currency_converter": frozenset({"bridge_client.demo"}),
    # pyzmq's helpers would bring an event loop; nothing here runs one.
    "asyncio": frozenset(),
}
INSIDE_A_FUNCTION: Final = frozenset({"MetaTrader5", "currency_converter"})
EVERYWHERE: Final = frozenset({"msgspec", *PACKAGES})
# What a pure room may not know: clocks, randomness, files, sockets, threads, processes.
IMPURE: Final = frozenset(
    {
        "_thread", "asyncio", "concurrent", "ctypes", "fcntl", "ftplib", "getpass", "glob", "http",
        "io", "logging", "mmap", "msvcrt", "multiprocessing", "os", "pathlib", "platform", "queue",
        "random", "sched", "secrets", "select", "selectors", "shutil", "signal", "smtplib",
        "socket", "socketserver", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time",
        "urllib", "uuid", "winreg",
    }
)  # fmt: skip
IMPURE_CALLS: Final = frozenset({"open", "input", "print", "eval", "exec", "__import__"})
CLOCK_CALLS: Final = frozenset({"now", "utcnow", "today"})


class Import(NamedTuple):
    """One import: the module it names, where, and whether it runs only inside a function."""

    target: str
    line: int
    deferred: bool


def floor_of(module: str) -> int | None:
    """Return the floor of a dotted module name, or None if no room is known for it."""
    if module in FLOORS:
        return FLOORS[module]
    parent = module.rpartition(".")[0]
    # `service_loop` beside `service` would be a new room: only packages lend their floor.
    return None if parent in _ROOTS or not parent else floor_of(parent)


def module_name(root: Path, path: Path) -> str:
    """Return the dotted name of a file."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _package(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def imports_of(tree: ast.Module, package: str, known: frozenset[str]) -> Iterator[Import]:
    """Yield every import, at any depth; `from a import b` names a.b where that is a module."""
    deferred = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, id(node) in deferred)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(full if full in known else base, node.lineno, id(node) in deferred)


def _side(module: str) -> str:
    return module.partition(".")[0]


def _import_breach(module: str, found: Import) -> str | None:
    floor = floor_of(module)
    top = _side(found.target)
    if floor is None:
        return None
    if top in PACKAGES:
        return _law_breach(module, floor, found.target)
    if top in DOORS:
        if not any(module == door or module.startswith(f"{door}.") for door in DOORS[top]):
            return f"imports {top}, which has its own door"
        if top in INSIDE_A_FUNCTION and not found.deferred:
            return f"imports {top} outside a function"
        return None
    if floor < 2 and top in IMPURE:
        return f"is pure and imports {top}"
    if top not in EVERYWHERE and top not in sys.stdlib_module_names:
        return f"imports {top}, which is no dependency"
    return None


def _law_breach(module: str, floor: int, target: str) -> str | None:
    side, other = _side(module), _side(target)
    if other not in ("bridge_core", side):
        return f"imports {target}: the two sides never import each other"
    below = floor_of(target)
    if below is None or below > floor:
        return f"(floor {floor}) imports {target} (floor {below}): up is not allowed"
    return None


def _impure_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) if name in IMPURE_CALLS:
                yield node.lineno, f"is pure and calls {name}()"
            case ast.Attribute(attr=name, value=ast.Name(id="datetime" | "date")) if (
                name in CLOCK_CALLS
            ):
                yield node.lineno, f"is pure and reads the clock ({name})"
            case ast.Attribute(attr=name, value=ast.Attribute(attr="datetime" | "date")) if (
                name in CLOCK_CALLS
            ):
                yield node.lineno, f"is pure and reads the clock ({name})"


def _bound_by(node: ast.stmt) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name.partition(".")[0] for alias in names}
        case ast.Assign():
            return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        case ast.If(body=body, orelse=other) | ast.Try(body=body, orelse=other):
            return set().union(*(_bound_by(inner) for inner in (*body, *other)))
    return set()


def _listed(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return list(ast.literal_eval(value))
    return None


def _all_breaches(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with `__all__`: absent, or naming what is not there."""
    bound = set().union(*(_bound_by(node) for node in tree.body))
    listed = _listed(tree)
    if listed is None:
        if bound:
            yield 1, "has no __all__"
        return
    for name in listed:
        if name not in bound:
            yield 1, f"lists {name} in __all__ and does not define it"


def _file_size(path: Path, tree: ast.Module, text: str) -> Iterator[tuple[int, str]]:
    lines = text.count("\n")
    if lines > MODULE_LINES_MAX:
        yield lines, f"has {lines} lines, {MODULE_LINES_MAX} is the most"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield (
                    node.lineno,
                    f"{node.name} has {length} lines, {FUNCTION_LINES_MAX} is the most",
                )


def size_breaches(root: Path, folders: tuple[str, ...]) -> list[str]:
    """Return the modules and functions that are too long."""
    found: list[str] = []
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            found += [
                f"{path.relative_to(root)}:{line} {why}"
                for line, why in _file_size(path, ast.parse(text), text)
            ]
    return found


def _cycles(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [f"import cycle: {' -> '.join(error.args[1])}"]
    return []


def breaches(root: Path) -> list[str]:
    """Return every breach of the import law and of the public-name rule in the packages."""
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    names = {path: module_name(root, path) for path in paths}
    known = frozenset(names.values())
    found: list[str] = []
    graph: dict[str, set[str]] = {}
    for path, module in names.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = path.relative_to(root)
        floor = floor_of(module)
        if floor is None:
            found.append(f"{where}:1 has no room: give it a floor in tests/support/architecture.py")
        graph[module] = set()
        for one in imports_of(tree, _package(module, path), known):
            if why := _import_breach(module, one):
                found.append(f"{where}:{one.line} {why}")
            if one.target in known and one.target != module and not one.deferred:
                graph[module].add(one.target)
        faults = [*_impure_calls(tree)] if floor is not None and floor < 2 else []
        if path.name != "__main__.py":  # a command, not a library
            faults += _all_breaches(tree)
        found += [f"{where}:{line} {why}" for line, why in faults]
    return [*dict.fromkeys(found), *_cycles(graph)]
