"""Small wrong changes to a module: each `Mutant` is one tree that differs from the source once.

Annotations and docstrings are left alone. Tables at module level are mutated like code: most of
what this project decides stands in them.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

__all__ = ["Mutant", "Place", "mutants_of"]

_COMPARE: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.Mod: ast.Add,
    ast.LShift: ast.RShift,
    ast.BitAnd: ast.BitOr,
}
# The bounds of a repetition in a regular expression.
_REPEAT: Final = re.compile(rb"(?<=[{,])[0-9]+(?=[,}])")
_CALLS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}

_Edit = Callable[[ast.AST], ast.AST]


class Place(NamedTuple):
    """Where a mutant is: the function or class, the source line and what was done to it."""

    scope: str
    line: str
    change: str


class Mutant(NamedTuple):
    """One wrong version of a module."""

    place: Place
    tree: ast.Module


def mutants_of(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a source text; the order and the places are always the same."""
    tree = ast.parse(source)
    lines = source.splitlines()
    seen: dict[Place, int] = {}
    for number, (node, scope) in enumerate(_walk(tree, "")):
        for change, edit in _edits(node):
            place = Place(scope or "-", lines[node.lineno - 1].strip(), change)  # type: ignore[attr-defined]
            seen[place] = seen.get(place, 0) + 1
            if seen[place] > 1:
                place = place._replace(change=f"{change} ({seen[place]})")
            yield Mutant(place, _edited(tree, number, edit))


def _edited(tree: ast.Module, number: int, edit: _Edit) -> ast.Module:
    wrong = copy.deepcopy(tree)
    target = next(node for at, (node, _) in enumerate(_walk(wrong, "")) if at == number)
    for parent in ast.walk(wrong):
        for name, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, name, edit(target))
            elif isinstance(value, list):
                value[:] = [edit(one) if one is target else one for one in value]
    return ast.fix_missing_locations(wrong)


def _walk(node: ast.AST, scope: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield what may be changed, with the dotted name of what it stands in."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        scope = f"{scope}.{node.name}" if scope else node.name
    if hasattr(node, "lineno"):
        yield node, scope
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _only_text(child) and not _all_list(child):
                yield from _walk(child, scope)


def _only_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _all_list(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "__all__"
    ) or isinstance(node, ast.Import | ast.ImportFrom)


def _edits(node: ast.AST) -> Iterator[tuple[str, _Edit]]:
    match node:
        case ast.Compare():
            yield from _compare(node)
        case ast.BoolOp():
            yield from _bool(node)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield f"{_text(node)} -> {_text(operand)}", lambda one: one.operand  # type: ignore[attr-defined]
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            new = _ARITHMETIC[type(op)]
            yield (
                f"{type(op).__name__} -> {new.__name__}",
                lambda one: ast.BinOp(one.left, new(), one.right),  # type: ignore[attr-defined]
            )
        case ast.Constant():
            yield from _constant(node)
        case ast.Call():
            yield from _call(node)
        case ast.Dict() | ast.Set():
            yield from _elements(node)
        case ast.If() | ast.IfExp() | ast.While():
            yield from _condition(node)
        case ast.comprehension():
            pass
        case ast.ListComp() | ast.GeneratorExp() | ast.DictComp() | ast.SetComp():
            yield from _filters(node)
        case ast.stmt():
            yield from _statement(node)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _compare(node: ast.Compare) -> Iterator[tuple[str, _Edit]]:
    for at, op in enumerate(node.ops):
        for new in _COMPARE[type(op)]:

            def edit(one: ast.AST, at: int = at, new: type[ast.cmpop] = new) -> ast.AST:
                assert isinstance(one, ast.Compare)
                return ast.Compare(
                    one.left, [*one.ops[:at], new(), *one.ops[at + 1 :]], one.comparators
                )

            yield f"{type(op).__name__} -> {new.__name__} in {_text(node)}", edit


def _bool(node: ast.BoolOp) -> Iterator[tuple[str, _Edit]]:
    other: ast.boolop = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield (
        f"{type(node.op).__name__} -> {type(other).__name__} in {_text(node)}",
        lambda one: ast.BoolOp(other, one.values),  # type: ignore[attr-defined]
    )
    for at, value in enumerate(node.values):

        def edit(one: ast.AST, at: int = at) -> ast.AST:
            assert isinstance(one, ast.BoolOp)
            rest = [value for k, value in enumerate(one.values) if k != at]
            return rest[0] if len(rest) == 1 else ast.BoolOp(one.op, rest)

        yield f"without {_text(value)}", edit


def _constant(node: ast.Constant) -> Iterator[tuple[str, _Edit]]:
    value = node.value
    new: bool | int | str | bytes | None = None
    if isinstance(value, bool):
        new = not value
    elif isinstance(value, int):
        new = value + 1
    elif isinstance(value, str):
        new = f"XX{value}" if value else "XX"
    elif isinstance(value, bytes):
        new = b"XX" + value
    if new is not None:
        yield f"{value!r} -> {new!r}", lambda _: ast.Constant(new)
    if isinstance(value, bytes):
        for bound in _REPEAT.finditer(value):
            one_more = b"%d" % (int(bound[0]) + 1)
            other = value[: bound.start()] + one_more + value[bound.end() :]
            yield f"{value!r} -> {other!r}", lambda _, other=other: ast.Constant(other)  # type: ignore[misc]


def _call(node: ast.Call) -> Iterator[tuple[str, _Edit]]:
    if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        new = _CALLS[node.func.id]

        def rename(one: ast.AST) -> ast.AST:
            assert isinstance(one, ast.Call)
            return ast.Call(ast.Name(new, ast.Load()), one.args, one.keywords)

        yield f"{node.func.id} -> {new}", rename
    for at, keyword in enumerate(node.keywords):

        def drop(one: ast.AST, at: int = at) -> ast.AST:
            assert isinstance(one, ast.Call)
            return ast.Call(one.func, one.args, [*one.keywords[:at], *one.keywords[at + 1 :]])

        yield f"without {keyword.arg}= in {_text(node.func)}()", drop


def _elements(node: ast.Dict | ast.Set) -> Iterator[tuple[str, _Edit]]:
    names = node.keys if isinstance(node, ast.Dict) else node.elts
    values = node.values if isinstance(node, ast.Dict) else node.elts
    for at, (name, value) in enumerate(zip(names, values, strict=True)):

        def drop(one: ast.AST, at: int = at) -> ast.AST:
            if isinstance(one, ast.Dict):
                return ast.Dict(
                    [*one.keys[:at], *one.keys[at + 1 :]], [*one.values[:at], *one.values[at + 1 :]]
                )
            assert isinstance(one, ast.Set)
            rest = [*one.elts[:at], *one.elts[at + 1 :]]
            return ast.Set(rest) if rest else ast.Call(ast.Name("set", ast.Load()), [], [])

        yield f"without element {_text(name if name is not None else value)}", drop


def _condition(node: ast.If | ast.IfExp | ast.While) -> Iterator[tuple[str, _Edit]]:
    for new in (False,) if isinstance(node, ast.While) else (True, False):

        def edit(one: ast.AST, new: bool = new) -> ast.AST:
            assert isinstance(one, ast.If | ast.IfExp | ast.While)
            one.test = ast.Constant(new)
            return one

        yield f"{_text(node.test)} -> {new}", edit


def _filters(
    node: ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp,
) -> Iterator[tuple[str, _Edit]]:
    for at, generator in enumerate(node.generators):
        if generator.ifs:

            def edit(one: ast.AST, at: int = at) -> ast.AST:
                assert isinstance(one, ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp)
                one.generators[at].ifs = []
                return one

            yield f"without if {_text(generator.ifs[0])}", edit


def _statement(node: ast.stmt) -> Iterator[tuple[str, _Edit]]:
    match node:
        case ast.Return(value=value) if value is not None and _text(value) != "None":
            yield f"{_text(node)} -> return None", lambda _: ast.Return(ast.Constant(None))
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Delete() | ast.Continue():
            yield f"without {_text(node)}", lambda _: ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield f"without {_text(node)}", lambda _: ast.Pass()
