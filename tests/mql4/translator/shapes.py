"""What the whole program declares: types, globals, which records hold strings or arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from tests.mql4.translator.tokens import SourceError
from tests.mql4.translator.tree import (
    Enumeration,
    Function,
    Import,
    Item,
    Program,
    Record,
    Variables,
)

__all__ = ["Shapes"]

T = TypeVar("T")


class Shapes:
    """An index over a program."""

    def __init__(self, program: Program) -> None:
        self.items: Sequence[Item] = program.items
        self.records = {item.name: item for item in self.all(Record)}
        self.enums = list(self.all(Enumeration))
        self.nested_enums = [
            member
            for record in self.records.values()
            for member in record.members
            if isinstance(member, Enumeration)
        ]
        self.enumerators = {
            token.text for enum in [*self.enums, *self.nested_enums] for token, _ in enum.values
        }
        self.functions = list(self.all(Function))
        self.imports = list(self.all(Import))
        self.variables = list(self.all(Variables))
        self.names = {
            *(function.name for function in self.functions if not function.owner),
            *(function.name for block in self.imports for function in block.functions),
            *(name.name for item in self.variables for name in item.names if not name.owner),
            *self.records,
            *self.enumerators,
            *(enum.name for enum in self.enums),
        }
        self.array_members = self.members_of(arrays=True) - self.members_of(arrays=False)
        self.heavy: set[str] = set()
        self.find_heavy()

    def all(self, kind: type[T]) -> Iterator[T]:
        """The items of one kind, in source order."""
        return (item for item in self.items if isinstance(item, kind))

    def members_of(self, *, arrays: bool) -> set[str]:
        """The names of member variables that are arrays, or of those that are none."""
        return {
            name.name
            for record in self.records.values()
            for member in record.members
            if isinstance(member, Variables)
            for name in member.names
            if bool(name.dims) == arrays
        }

    def find_heavy(self) -> None:
        """Records that hold a string or a dynamic array, themselves or in what they hold."""
        while True:
            more = {name for name, record in self.records.items() if self.is_heavy(record)}
            if more == self.heavy:
                return
            self.heavy = more

    def is_heavy(self, record: Record) -> bool:
        """Whether one record is, as far as known."""
        for member in record.members:
            if not isinstance(member, Variables) or "static" in member.storage:
                continue
            if member.type == "string" or member.type in self.heavy:
                return True
            if any(name.dims and not name.dims[0] for name in member.names):
                return True
        return record.base in self.heavy

    def ordered_records(self) -> list[Record]:
        """Every record after its base and after the records it holds."""
        graph: TopologicalSorter[str] = TopologicalSorter()
        for name, record in self.records.items():
            needs = {
                member.type
                for member in record.members
                if isinstance(member, Variables)
                and "static" not in member.storage
                and not any(declared.pointer for declared in member.names)
            }
            graph.add(name, *sorted((needs | {record.base}) & self.records.keys()))
        try:
            return [self.records[name] for name in graph.static_order()]
        except CycleError as error:
            first = self.records[error.args[1][0]]
            raise SourceError(first.where, f"{first.name} holds itself") from error
