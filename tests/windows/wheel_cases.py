"""The questions to the MetaTrader5 module that need no terminal, as one table.

The same table is put to the real wheel on Windows or under wine (`make windows-check`) and to the
stand-in on Linux; `wheel_answers.json` holds what wheel 5.0.6231 answered (wheel_file.py).
"""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from tests.windows.wheel_values import REQUEST, values

__all__ = ["Case", "answers", "cases"]

BELOW: Final = "bid ask last"


class Case(NamedTuple):
    """One question: where it is asked, what is put there, and how to ask it of a module."""

    where: str
    word: str
    ask: Callable[[Any], object]

    @property
    def label(self) -> str:
        """Say it in one line."""
        return f"{self.where}: {self.word}"


RECORDS: Final = (
    "TradePosition",
    "TradeOrder",
    "TradeDeal",
    "TradeRequest",
    "OrderCheckResult",
    "OrderSendResult",
    "SymbolInfo",
    "Tick",
    "TerminalInfo",
    "AccountInfo",
    "BookInfo",
)
# --- asking --------------------------------------------------------------------------------------


def outcome(module: Any, ask: Callable[[Any], object]) -> list[object]:
    """What one question gave: ["value" | "raise", its text, its type], last_error code and text."""
    try:
        value = ask(module)
        said: list[object] = [f"{value!r} {type(value).__name__}"]
    except Exception as error:  # noqa: BLE001  # whatever is raised is the answer
        said = [f"{type(error).__name__}: {error}"]
        cause = error.__cause__
        if cause is not None:
            said[0] = f"{said[0]} <- {type(cause).__name__}: {cause}"
    return [said[0], *module.last_error()]


def call(name: str, *args: object, **kwargs: object) -> Callable[[Any], object]:
    """A question that calls one function."""
    if kwargs:
        return lambda module: getattr(module, name)(*args, **kwargs)
    # Not the same call: `**{}` hands a C function an empty dictionary in place of none, and the
    # wheel then takes the arguments for named ones.
    return lambda module: getattr(module, name)(*args)


def answers(module: Any) -> dict[str, dict[str, list[object]]]:
    """Answer of each case by where and word. The module must be fresh: its start is looked at."""
    said: dict[str, dict[str, list[object]]] = {}
    for case in cases():
        assert case.word not in said.setdefault(case.where, {}), case.label
        said[case.where][case.word] = outcome(module, case.ask)
    return said


def cases() -> Iterator[Case]:
    """The whole table, in the order in which it must be asked."""
    yield Case("at the start", "last_error()", call("last_error"))
    yield from shape_cases()
    yield from record_cases()
    yield from plain_cases()
    yield from request_cases()
    yield from lookup_cases()
    yield from history_cases()
    yield from market_cases()
    yield from connect_cases()


# --- what the module is --------------------------------------------------------------------------


def shape_cases() -> Iterator[Case]:
    """Names, numbers, words."""

    def constants(module: Any) -> str:
        found = sorted((n, v) for n, v in vars(module).items() if type(v) is int)
        return f"{len(found)} {hashlib.sha256(repr(found).encode()).hexdigest()}"

    def functions(module: Any) -> list[str]:
        return sorted(n for n in dir(module) if n[0] != "_" and n.islower())

    yield Case("module", "constants", constants)
    yield Case("module", "functions", functions)
    yield Case("module", "version and author", lambda m: (m.__version__, m.__author__))


def record_cases() -> Iterator[Case]:
    """What a record is, from the outside: made by hand, since no terminal sends one."""
    for name in RECORDS:
        yield from one_record(name)
    yield Case("one Tick", "repr", lambda m: repr(tick(m)))
    yield Case("one Tick", "_asdict", lambda m: tick(m)._asdict())
    yield Case("one Tick", "fields", lambda m: [getattr(tick(m), f) for f in BELOW.split()])
    yield Case("one Tick", "equal to a tuple", lambda m: tick(m) == tuple(tick(m)))
    yield Case("one Tick", "a slice", lambda m: type(tick(m)[1:3]))
    yield Case("one Tick", "hash", lambda m: hash(tick(m)) == hash(tuple(tick(m))))
    yield Case("one Tick", "pickled", lambda m: pickle.dumps(tick(m)))
    yield Case("one Tick", "pickled, protocol 0", lambda m: pickle.dumps(tick(m), 0))
    yield Case("one Tick", "copied", lambda m: copy.copy(tick(m)))
    yield Case("one Tick", "copied deeply", lambda m: copy.deepcopy(tick(m)))
    yield Case("one Tick", "as JSON", lambda m: json.dumps(tick(m)))
    yield Case("one Tick", "_replace", lambda m: tick(m)._replace(bid=2.0))
    yield Case("one Tick", "_fields", lambda m: tick(m)._fields)
    yield Case("one Tick", "set a field", lambda m: setattr(tick(m), "bid", 2.0))
    yield Case("one Tick", "set another", lambda m: setattr(tick(m), "other", 2.0))
    yield Case("one Tick", "unknown field", lambda m: tick(m).other)
    yield Case("one Tick", "too few", lambda m: m.Tick((1, 2)))
    yield Case("one Tick", "too many", lambda m: m.Tick(tuple(range(9))))
    yield Case("one Tick", "of a dict", lambda m: m.Tick((1,), {"bid": 2.0}))
    yield Case("one Tick", "of no tuple", lambda m: m.Tick(1))
    yield Case("one Tick", "by name", lambda m: m.Tick(bid=1.0))
    yield Case("one Tick", "without anything", lambda m: m.Tick())
    yield Case("a record inside a record", "_asdict", nested)


def tick(module: Any) -> Any:
    """A Tick whose eight fields all differ."""
    return module.Tick((1, 1.1, 1.2, 1.3, 4, 5, 6, 7.0))


def nested(module: Any) -> object:
    """`_asdict` is not recursive."""
    request = module.TradeRequest(tuple(range(17)))
    result = module.OrderSendResult((*range(10), request))
    inner = result._asdict()["request"]
    return type(inner).__name__, inner is request, result.request.symbol


def one_record(name: str) -> Iterator[Case]:
    """The shape of one record class."""

    def of(module: Any) -> Any:
        return getattr(module, name)

    def filled(module: Any) -> Any:
        return of(module)(tuple(range(of(module).n_fields)))

    yield Case(name, "class", lambda m: (type(of(m)).__name__, of(m).__mro__[1:]))
    yield Case(
        name,
        "names",
        lambda m: (of(m).__module__, of(m).__name__, of(m).__qualname__),
    )
    yield Case(
        name,
        "counts",
        lambda m: (of(m).n_fields, of(m).n_sequence_fields, of(m).n_unnamed_fields),
    )
    yield Case(name, "fields", lambda m: list(filled(m)._asdict()))
    yield Case(name, "match", lambda m: of(m).__match_args__)
    yield Case(
        name,
        "members",
        lambda m: sorted(
            n for n in set(dir(of(m))) - set(dir(tuple)) if n[0] == "_" and n != "__module__"
        ),
    )
    yield Case(name, "repr", lambda m: repr(filled(m)))
    yield Case(name, "pickled", lambda m: pickle.dumps(filled(m)))


# --- functions ---------------------------------------------------------------------------------


PLAIN: Final = (
    "terminal_info", "account_info", "symbols_total", "orders_total", "positions_total", "version",
    "shutdown", "last_error",
)  # fmt: skip


def plain_cases() -> Iterator[Case]:
    """The functions without arguments, and `shutdown` and `version` without a terminal."""
    for name in PLAIN:
        yield Case(name, "()", call(name))
        yield Case(name, "(1)", call(name, 1))
        yield Case(name, "(x=1)", call(name, x=1))


def request_cases() -> Iterator[Case]:
    """`order_send` and `order_check`: every key with every value, the order of the checks."""
    for name in ("order_send", "order_check"):
        yield Case(name, "good", call(name, dict(REQUEST)))
        yield Case(name, "good, as keywords", call(name, **REQUEST))
        yield Case(name, "empty", call(name, {}))
        yield Case(name, "nothing", call(name))
        yield Case(name, "two", call(name, dict(REQUEST), 1))
        yield Case(name, "request=", call(name, request=dict(REQUEST)))
        yield Case(name, "dict and keyword", call(name, {}, comment=1))
        yield Case(name, "bad dict, good keyword", call(name, {"comment": 1}, comment="c"))
        yield Case(name, "unknown key", call(name, {**REQUEST, "stop_loss": "x"}))
        yield Case(name, "unknown key None", call(name, {**REQUEST, "stop_loss": None}))
        yield Case(name, "key in capitals", call(name, {"VOLUME": "x"}))
        yield Case(name, "key is a number", call(name, {1: 2}))
        yield Case(name, "order of checks", complaints(name))
        for word, value in values().items():
            yield Case(f"{name} request", word, call(name, value))
    for key in REQUEST:
        for word, value in values().items():
            yield Case(f"order_send {key}", word, call("order_send", {**REQUEST, key: value}))
    for key in ("action", "magic", "volume", "expiration", "comment", "symbol"):
        for word, value in values().items():
            yield Case(f"order_check {key}", word, call("order_check", {**REQUEST, key: value}))


def complaints(name: str) -> Callable[[Any], list[str]]:
    """Everything wrong, then the one complained of mended, until nothing is complained of."""

    def ask(module: Any) -> list[str]:
        request: dict[str, object] = dict.fromkeys(REQUEST)
        said: list[str] = []
        for _ in REQUEST:
            getattr(module, name)(request)
            said.append(module.last_error()[1])
            key = said[-1].split('"')[1] if '"' in said[-1] else ""
            if key not in request:
                break
            request[key] = REQUEST[key]
        return said

    return ask


def lookup_cases() -> Iterator[Case]:
    """`positions_get`, `orders_get`, `symbols_get`: filters."""
    for name in ("positions_get", "orders_get", "symbols_get"):
        yield Case(name, "()", call(name))
        yield Case(name, "unnamed", call(name, "EURUSD"))
        yield Case(name, "unnamed, two", call(name, "EURUSD", 1))
        yield Case(name, "unnamed and named", call(name, "EURUSD", symbol="EURUSD"))
        yield Case(name, "unknown", call(name, tickets=5))
        yield Case(name, "all three", call(name, ticket=1, symbol="EURUSD", group="*"))
        yield Case(name, "bad last", call(name, ticket=1, symbol="EURUSD", group=1))
        yield Case(name, "bad middle", call(name, ticket=1, symbol=1, group="*"))
        yield Case(name, "all bad", call(name, ticket="x", symbol=1, group=1))
        yield Case(name, "bad symbol and group", call(name, symbol=1, group=1))
        for key in ("ticket", "symbol", "group"):
            for word, value in values().items():
                yield Case(f"{name} {key}", word, call(name, **{key: value}))


def history_cases() -> Iterator[Case]:
    """The three forms of the history functions and everything that is none of them."""
    for name in ("history_orders_get", "history_deals_get"):
        yield Case(name, "()", call(name))
        yield Case(name, "two dates", call(name, 1, 2))
        yield Case(name, "three dates", call(name, 1, 2, 3))
        yield Case(name, "one date", call(name, 1))
        yield Case(name, "named dates", call(name, date_from=1, date_to=2))
        yield Case(name, "one named", call(name, 1, date_to=2))
        yield Case(name, "dates and ticket", call(name, 1, 2, ticket=3))
        yield Case(name, "dates and bad ticket", call(name, 1, 2, ticket="x"))
        yield Case(name, "one date and ticket", call(name, 1, ticket=3))
        yield Case(name, "ticket and position", call(name, ticket=3, position=4))
        yield Case(name, "bad ticket and position", call(name, ticket="x", position=4))
        yield Case(name, "ticket and bad position", call(name, ticket=3, position="x"))
        yield Case(name, "dates and group", call(name, 1, 2, group="*"))
        yield Case(name, "group alone", call(name, group="*"))
        yield Case(name, "unknown alone", call(name, other=1))
        yield Case(name, "dates and unknown", call(name, 1, 2, other=1))
        yield Case(name, "bad dates and group", call(name, "x", "x", group=1))
        for word, value in values().items():
            yield Case(f"{name} date_from", word, call(name, value, 2))
            yield Case(f"{name} date_to", word, call(name, 1, value))
            yield Case(f"{name} group", word, call(name, 1, 2, group=value))
            yield Case(f"{name} ticket", word, call(name, ticket=value))
            yield Case(f"{name} position", word, call(name, position=value))
    for name in ("history_orders_total", "history_deals_total"):
        yield from positional(name, [("date_from", 1), ("date_to", 2)])


POSITIONAL: Final[dict[str, list[tuple[str, object]]]] = {
    "symbol_info": [("symbol", "EURUSD")],
    "symbol_info_tick": [("symbol", "EURUSD")],
    "symbol_select": [("symbol", "EURUSD"), ("enable", True)],
    "market_book_add": [("symbol", "EURUSD")],
    "market_book_get": [("symbol", "EURUSD")],
    "market_book_release": [("symbol", "EURUSD")],
    "copy_rates_from": [("symbol", "EURUSD"), ("timeframe", 1), ("date_from", 1), ("count", 1)],
    "copy_rates_from_pos": [("symbol", "EURUSD"), ("timeframe", 1), ("start_pos", 0), ("count", 1)],
    "copy_rates_range": [("symbol", "EURUSD"), ("timeframe", 1), ("date_from", 1), ("date_to", 2)],
    "copy_ticks_from": [("symbol", "EURUSD"), ("date_from", 1), ("count", 1), ("flags", 1)],
    "copy_ticks_range": [("symbol", "EURUSD"), ("date_from", 1), ("date_to", 2), ("flags", 1)],
    "order_calc_margin": [("action", 0), ("symbol", "EURUSD"), ("volume", 0.1), ("price", 1.1)],
    "order_calc_profit": [
        ("action", 0),
        ("symbol", "EURUSD"),
        ("volume", 0.1),
        ("price_open", 1.1),
        ("price_close", 1.2),
    ],
}


def market_cases() -> Iterator[Case]:
    """The functions whose arguments have no names, and are not always called without them."""
    for name, arguments in POSITIONAL.items():
        yield from positional(name, arguments)


def positional(name: str, arguments: list[tuple[str, object]]) -> Iterator[Case]:
    """Right, too few, too many, named; each argument with every value."""
    good = [value for _, value in arguments]
    for count in range(len(good) + 2):
        yield Case(name, f"{count} arguments", call(name, *[*good, 1][:count]))
    yield Case(name, "named", call(name, **dict(arguments)))
    yield Case(name, "last one named", call(name, *good[:-1], **dict(arguments[-1:])))
    yield Case(name, "unknown name", call(name, *good, other=1))
    for index, (key, _) in enumerate(arguments):
        for word, value in values().items():
            put = [*good[:index], value, *good[index + 1 :]]
            yield Case(f"{name} {key}", word, call(name, *put))


ABSENT: Final = "C:\\ztb-absent\\terminal64.exe"


def connect_cases() -> Iterator[Case]:
    """`initialize` and `login` where there is no terminal, and what holds afterwards."""
    yield Case("login", "()", call("login"))
    yield Case("login", "unnamed", call("login", 1, "p", "s"))
    yield Case("login", "named", call("login", login=1, password="p", server="s"))
    yield Case("login", "too many", call("login", 1, "p", "s", 1000))
    yield Case("login", "five", call("login", 1, "p", "s", 1000, 1))
    yield Case("login", "unknown", call("login", 1, other=1))
    yield Case("login", "twice", call("login", 1, login=2))
    for key in ("login", "password", "server", "timeout", "portable"):
        for word, value in values().items():
            yield Case(f"login {key}", word, call("login", **{"login": 1, key: value}))
            given = call("initialize", ABSENT, **{key: value})
            yield Case(f"initialize {key}", word, given)
    for word, value in values().items():
        yield Case("login first", word, call("login", value))
    yield Case("initialize", "()", call("initialize"))
    yield Case("initialize", "absent", call("initialize", ABSENT))
    yield Case("initialize", "path=", call("initialize", path=ABSENT))
    yield Case("initialize", "path twice", call("initialize", ABSENT, path=ABSENT))
    yield Case("initialize", "two unnamed", call("initialize", ABSENT, 1))
    yield Case("initialize", "unknown", call("initialize", ABSENT, other=1))
    yield Case("initialize", "a folder", call("initialize", "C:\\windows"))
    yield Case("initialize", "too long", call("initialize", "C:\\" + "x" * 40000))
    yield Case("after it", "version()", call("version"))
    yield Case("after it", "order_send", call("order_send", dict(REQUEST)))
    yield Case("after it", "positions_get()", call("positions_get"))
    yield Case("after it", "shutdown()", call("shutdown"))
    yield Case("after it", "shutdown() again", call("shutdown"))
    for word, value in values().items():
        if not isinstance(value, str):
            yield Case("initialize first", word, call("initialize", value))
            yield Case("initialize path", word, call("initialize", path=value))
