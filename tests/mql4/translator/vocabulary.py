"""The words of MQL4, and those of C++ and of newer compilers that are outside the subset."""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACCESS", "BASE_TYPES", "FOREIGN", "HANDLERS", "MUST_USE", "NOT_A_TYPE", "PREDEFINED_VARIABLES",
    "RESERVED", "STORAGE",
    "words",
]  # fmt: skip


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


BASE_TYPES: Final = words(
    """
    void bool char uchar short ushort int uint long ulong float double string datetime color
    """
)
STORAGE: Final = words(
    """
    static const input sinput extern virtual
    """
)
ACCESS: Final = words(
    """
    public private protected
    """
)
# Refused by a real compiler (build 1162), or unknown to C++ or MQL4 the other way round.
FOREIGN: Final = words(
    """
    auto nullptr constexpr decltype namespace using typedef union goto try
    catch throw inline friend mutable explicit noexcept static_cast dynamic_cast
    reinterpret_cast const_cast size_t int8_t int16_t int32_t int64_t uint8_t uint16_t
    uint32_t uint64_t unsigned signed wchar_t char16_t char32_t asm volatile register
    static_assert thread_local alignof alignas typeid override final std
    and or not xor bitand bitor compl and_eq or_eq xor_eq not_eq
    complex matrix vector
    """
)
# Words that cannot name anything.
RESERVED: Final = words(
    """
    bool break case char class color const continue datetime default delete do double else
    enum export extern false float for if import input int long new operator private protected
    public return short sinput sizeof static string struct switch template this true typename
    uchar uint ulong ushort virtual void while
    """
)
# A word that may stand before another word without being a type.
NOT_A_TYPE: Final = words(
    """
    return else case delete new throw goto do default if while for switch break continue
    sizeof operator template struct class enum public private protected
    """
)
# Variables that every program has (docs.mql4.com/predefined).
PREDEFINED_VARIABLES: Final = words(
    """
    Ask Bid Bars Close Digits High Low Open Point Time Volume _Digits _Point _LastError
    _Period _RandomSeed _StopFlag _Symbol _UninitReason
    """
)
# The results that tell whether anything happened at all.
MUST_USE: Final = words(
    """
    OrderSend OrderClose OrderCloseBy OrderDelete OrderModify OrderSelect
    """
)
# Handler -> the forms the terminal calls (docs.mql4.com/basis/function/events).
HANDLERS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "OnInit": (("int", "void"), ()),
    "OnDeinit": (("void",), ("int",)),
    "OnTick": (("void",), ()),
    "OnTimer": (("void",), ()),
    "OnStart": (("void", "int"), ()),
    "OnTester": (("double",), ()),
    "OnChartEvent": (("void",), ("int", "long", "double", "string")),
}
