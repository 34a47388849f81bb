"""The language of scenarios: plain texts that a trader can read, and the steps that they use.

A file begins with its group, then scenarios, each a heading at the left margin and indented steps:

    Group C: replay, duplication, ordering

    58  A copy of an order that ran gets its outcome, also after its deadline   [protocol.md 6.1]
      buy EURUSD 0.01 as first      -> FILLED
      6 s pass
      send first again              -> the same reply

A heading is the catalogue's numbers (`58`, `3, 4`, `34-36`), a sentence, and the section of
protocol.md that the scenario proves; it may run over several lines up to the bracket. A step is
`ACTION` or `ACTION -> EXPECTATION`; what was observed must begin with the expected words, or with
those behind an `or`. `for each NAME: a | b | c` makes a case of each value, in whose steps NAME is
replaced; `for each WHAT, THEN: a => b | c => d` does so with two names. A longer list goes on in
lines that begin with `|`. `long` keeps a scenario out of the short run. `#` begins a remark.

`@says(pattern)` registers a step. Nothing is guessed: a line that no step understands, or two do,
a scenario without any expectation, a section that protocol.md does not have, a number that the
catalogue has in another group, each stops the run.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tests.acceptance.world import World

__all__ = [
    "Case", "Handler", "ScenarioError", "Step", "holds", "load_all", "parse", "says", "understand",
]  # fmt: skip

HERE: Final = Path(__file__).resolve().parent
PROTOCOL_MD: Final = HERE.parents[1] / "protocol.md"
Handler = Callable[..., str | None]


class ScenarioError(Exception):
    """A text that says nothing, or nothing anybody understands; names its file and line."""


class Step(NamedTuple):
    """One line: what is done, what must be seen ("" if nothing is claimed), where it stands."""

    action: str
    expected: str
    where: str


class Case(NamedTuple):
    """One scenario with one choice of values."""

    group: str
    numbers: tuple[int, ...]
    title: str
    section: str
    values: str
    long: bool
    steps: tuple[Step, ...]
    file: str
    turn: int

    @property
    def name(self) -> str:
        """The case's name in a test run."""
        words = re.sub(r"[^A-Za-z0-9]+", "-", self.title).strip("-").lower()
        chosen = re.sub(r"[^A-Za-z0-9.+_]+", "-", self.values).strip("-")
        label = f"{self.label}-{words[:60]}"
        return f"{label}-{self.turn}-{chosen[:40]}" if self.turn else label

    @property
    def label(self) -> str:
        """The catalogue's numbers with their group."""
        return f"{self.group}{','.join(str(one) for one in self.numbers)}"


# --- the registry ----------------------------------------------------------------------------

_steps: Final[list[tuple[re.Pattern[str], Handler]]] = []


def says(pattern: str) -> Callable[[Handler], Handler]:
    """Register a handler `f(world, **groups) -> what was observed, or None` for a line."""

    def register(handler: Handler) -> Handler:
        _steps.append((re.compile(pattern), handler))
        return handler

    return register


@cache
def load_steps() -> None:
    """Import every steps_*.py beside this file."""
    for path in sorted(HERE.glob("steps_*.py")):
        importlib.import_module(f"tests.acceptance.{path.stem}")


def understand(action: str, where: str) -> tuple[Handler, dict[str, str]]:
    """Return the one handler of a line, and what the line says to it.

    Raises:
        ScenarioError: no step understands the line, or more than one does.
    """
    load_steps()
    found = [(handler, match) for one, handler in _steps if (match := one.fullmatch(action))]
    if len(found) != 1:
        why = "no step understands" if not found else f"{len(found)} steps understand"
        raise ScenarioError(f"{where}: {why}: {action!r}")
    handler, match = found[0]
    return handler, {name: text for name, text in match.groupdict().items() if text is not None}


def _words(text: str) -> list[str]:
    return [word.rstrip(",:;") for word in text.split()]


def holds(expected: str, observed: str | None) -> bool:
    """Return whether what was observed begins with the expected words, or an alternative's."""
    if observed is None:
        return False
    seen = _words(observed)
    wanted = [_words(one) for one in expected.split(" or ")]
    return any(seen[: len(words)] == words for words in wanted if words)


def run(case: Case, world: World) -> None:
    """Do a case's steps, then let the world check the promises; fails on the first difference."""
    for step in case.steps:
        handler, said = understand(step.action, step.where)
        observed = handler(world, **said)
        if step.expected and not holds(step.expected, observed):
            raise AssertionError(
                f"{step.where}: {step.action}\n  expected: {step.expected}\n  observed: {observed}"
            )
    world.check_promises()


# --- the texts -------------------------------------------------------------------------------

_GROUP: Final = re.compile(r"Group (?P<group>[A-Z]): .+")
_HEADING: Final = re.compile(
    r"(?P<numbers>\d+(?:(?:, ?|-)\d+)*)\s+(?P<title>\S.*?)\s*\[protocol\.md (?P<section>[0-9.]+)\]"
)
_EACH: Final = re.compile(r"for each (?P<names>[A-Z_]+(?:, [A-Z_]+)*): *(?P<values>.*)")
# The first number of each group; a group ends where the next begins.
_GROUPS: Final = {
    "A": 1, "B": 34, "C": 55, "D": 80, "E": 97, "F": 117, "G": 133, "H": 147, "I": 200, "K": 236,
    "L": 254, "M": 263, "N": 306,
}  # fmt: skip
_ARROW: Final = re.compile(r"\s+->\s+")


@cache
def sections() -> frozenset[str]:
    """Return the numbers of protocol.md's headings."""
    text = PROTOCOL_MD.read_text("utf-8")
    return frozenset(re.findall(r"^#+ (\d+(?:\.\d+)?)\.? ", text, re.MULTILINE))


class _Draft:
    """A scenario while it is read."""

    def __init__(self, heading: str, where: str) -> None:
        match = _HEADING.fullmatch(heading)
        if match is None:
            raise ScenarioError(f"{where}: not `NUMBERS  sentence  [protocol.md SECTION]`")
        if match["section"] not in sections():
            raise ScenarioError(f"{where}: protocol.md has no section {match['section']}")
        self.where = where
        self.numbers = tuple(_numbers(match["numbers"]))
        self.title = match["title"]
        self.section = match["section"]
        self.long = False
        self.each: list[tuple[tuple[str, ...], str]] = []
        self.steps: list[Step] = []

    def line(self, text: str, where: str) -> None:
        each = _EACH.fullmatch(text)
        if text == "long":
            self.long = True
        elif each is not None:
            self.each.append((tuple(each["names"].split(", ")), each["values"]))
        elif text.startswith("|") and self.each and not self.steps:
            names, values = self.each[-1]
            self.each[-1] = (names, f"{values} {text}" if values else text[1:])
        else:
            action, *expected = _ARROW.split(text)
            if len(expected) > 1:
                raise ScenarioError(f"{where}: more than one `->`")
            self.steps.append(Step(action, expected[0] if expected else "", where))

    def cases(self, group: str, file: str) -> Iterator[Case]:
        for number in self.numbers:
            if group_of(number) != group:
                raise ScenarioError(f"{self.where}: {number} is of group {group_of(number)}")
        if not any(step.expected for step in self.steps):
            raise ScenarioError(f"{self.where}: it expects nothing")
        for turn, chosen in enumerate(self._choices(), start=1):
            steps = tuple(_filled(step, chosen) for step in self.steps)
            for step in steps:
                understand(step.action, step.where)
            yield Case(
                group, self.numbers, self.title, self.section, ", ".join(chosen.values()),
                self.long, steps, file, turn if chosen else 0,
            )  # fmt: skip

    def _choices(self) -> list[dict[str, str]]:
        choices: list[dict[str, str]] = [{}]
        for names, values in self.each:
            rows = [[part.strip() for part in one.split("=>")] for one in values.split(" | ")]
            if any(len(row) != len(names) for row in rows):
                raise ScenarioError(f"{self.where}: each value of {names} needs {len(names)} parts")
            choices = [
                {**one, **dict(zip(names, row, strict=True))} for one in choices for row in rows
            ]
            for name in names:
                if not any(
                    re.search(rf"\b{name}\b", f"{s.action} {s.expected}") for s in self.steps
                ):
                    raise ScenarioError(f"{self.where}: no step uses {name}")
        return choices


def group_of(number: int) -> str:
    """Return the catalogue's group of a number."""
    return max(group for group, first in _GROUPS.items() if first <= number)


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _filled(step: Step, chosen: dict[str, str]) -> Step:
    if not chosen:
        return step
    pattern = re.compile(rf"\b({'|'.join(chosen)})\b")

    def fill(text: str) -> str:
        return pattern.sub(lambda match: chosen[match[1]], text)

    return step._replace(action=fill(step.action), expected=fill(step.expected))


def parse(text: str, file: str) -> list[Case]:
    """Return the cases of one text.

    Raises:
        ScenarioError: the text is not of this language; names file and line.
    """
    if not text.isascii():
        raise ScenarioError(f"{file}: not plain ASCII")
    group, heading, begun = "", "", ""
    drafts: list[_Draft] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        where, line = f"{file}:{number}", raw.strip()
        if not line or line.startswith("#"):
            continue
        if not group:
            found = _GROUP.fullmatch(line)
            if found is None:
                raise ScenarioError(f"{where}: a file begins with `Group X: its name`")
            group = found["group"]
        elif not raw.startswith(" ") or heading:
            begun = begun if heading else where
            heading = f"{heading} {line}".strip()
            if line.endswith("]"):
                drafts.append(_Draft(heading, begun))
                heading = ""
        elif not drafts:
            raise ScenarioError(f"{where}: a step before any heading")
        else:
            drafts[-1].line(line, where)
    if heading:
        raise ScenarioError(f"{begun}: the heading names no section of protocol.md")
    return [case for draft in drafts for case in draft.cases(group, file)]


@cache
def load_all() -> tuple[Case, ...]:
    """Return the cases of every scenarios/*.txt, in order of the files' names."""
    found: list[Case] = []
    for path in sorted((HERE / "scenarios").glob("*.txt")):
        found += parse(path.read_text("ascii"), path.name)
    names = [one.name for one in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ScenarioError(f"two scenarios of one name: {sorted(twice)}")
    return tuple(found)
