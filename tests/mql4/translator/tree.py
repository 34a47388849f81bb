"""The syntax tree of one program, as far down as statements; expressions stay tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.mql4.translator.tokens import Token, Where

__all__ = [
    "Access", "Block", "Declarator", "DoWhile", "Enumeration", "Expression", "For", "Function",
    "If", "Import", "Item", "Label", "Param", "Program", "Record", "Return", "Statement", "Switch",
    "TypeName", "Variables", "While",
]  # fmt: skip


@dataclass(frozen=True)
class TypeName:
    """A type as written: its word, whether it is const, `*` or `&` behind it."""

    word: str
    const: bool = False
    pointer: bool = False
    ref: bool = False


@dataclass(frozen=True)
class Param:
    """One parameter; `dims` is None unless it is an array (then [] for the open dimension)."""

    type: TypeName
    name: str
    dims: tuple[tuple[Token, ...], ...] | None
    default: tuple[Token, ...] | None
    where: Where


@dataclass(frozen=True)
class Declarator:
    """One name of a declaration, with its dimensions, its `=` part or constructor arguments."""

    name: str
    where: Where
    owner: str = ""  # C of `int C::count = 0;`
    pointer: bool = False
    ref: bool = False
    dims: tuple[tuple[Token, ...], ...] = ()
    value: tuple[Token, ...] | None = None
    arguments: tuple[Token, ...] | None = None


@dataclass(frozen=True)
class Variables:
    """A declaration of variables; `storage` holds static, const, input, sinput, extern."""

    storage: frozenset[str]
    type: str
    names: tuple[Declarator, ...]
    where: Where


@dataclass(frozen=True)
class Block:
    """`{ ... }`."""

    body: tuple[Statement, ...]
    where: Where
    end: Where


@dataclass(frozen=True)
class If:
    """`if`, with its `else` if there is one."""

    condition: tuple[Token, ...]
    then: Statement
    otherwise: Statement | None
    where: Where


@dataclass(frozen=True)
class While:
    """`while`."""

    condition: tuple[Token, ...]
    body: Statement
    where: Where


@dataclass(frozen=True)
class DoWhile:
    """`do ... while`."""

    body: Statement
    condition: tuple[Token, ...]
    where: Where


@dataclass(frozen=True)
class For:
    """`for`; the first part declares or computes."""

    start: Variables | tuple[Token, ...]
    condition: tuple[Token, ...]
    step: tuple[Token, ...]
    body: Statement
    where: Where


@dataclass(frozen=True)
class Switch:
    """`switch`."""

    value: tuple[Token, ...]
    body: Statement
    where: Where


@dataclass(frozen=True)
class Label:
    """`case value:`, or `default:` with value None."""

    value: tuple[Token, ...] | None
    where: Where


@dataclass(frozen=True)
class Return:
    """`return`, with or without a value."""

    value: tuple[Token, ...]
    where: Where


@dataclass(frozen=True)
class Expression:
    """An expression statement; also `break`, `continue` and the empty one."""

    tokens: tuple[Token, ...]
    where: Where


Statement = Block | If | While | DoWhile | For | Switch | Label | Return | Expression | Variables


@dataclass(frozen=True)
class Function:
    """A function or method; `body` is None for a mere declaration."""

    storage: frozenset[str]  # static, virtual
    type: TypeName | None  # None: constructor, destructor
    name: str
    params: tuple[Param, ...]
    body: Block | None
    where: Where
    owner: str = ""
    const: bool = False
    initialisers: tuple[Token, ...] = ()
    template: str = ""  # "template <typename T>"


@dataclass(frozen=True)
class Access:
    """`public:` and the like."""

    word: str
    where: Where


@dataclass(frozen=True)
class Record:
    """A struct or class."""

    keyword: str
    name: str
    base: str
    access: str  # to the base: public, protected, private, or "" if it is not said
    members: tuple[Item, ...]
    where: Where
    end: Where


@dataclass(frozen=True)
class Enumeration:
    """An enum; name "" if it has none."""

    name: str
    values: tuple[tuple[Token, tuple[Token, ...]], ...]
    where: Where


@dataclass(frozen=True)
class Import:
    """The functions of one DLL."""

    library: str
    functions: tuple[Function, ...]
    where: Where


Item = Function | Variables | Record | Enumeration | Access | Import


@dataclass
class Program:
    """All of a main file and its includes, in source order."""

    items: list[Item] = field(default_factory=list)
