// base.hpp - sized integers, critical errors and what a program asks of the terminal around it.
//
// A translated program may include nothing but language.hpp. What is declared `terminal:` here is
// defined by the terminal (or by a test's host), everything else in runtime/*.cpp.
#pragma once
#include <string>
#include <type_traits>

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef int color;
static_assert(sizeof(long) == 8 && sizeof(int) == 4 && sizeof(short) == 2, "MQL4 integer sizes");
static_assert(std::is_signed<char>::value, "char is signed in MQL4");

constexpr color clrNONE = -1;
constexpr color CLR_NONE = -1;

template <class T>
constexpr bool mql_is_number = std::is_arithmetic<T>::value || std::is_enum<T>::value;
template <class T>
constexpr bool mql_is_integer = std::is_integral<T>::value || std::is_enum<T>::value;

// A critical error: MT4 stops the program at once and OnDeinit is not called
// (docs.mql4.com/runtime/errors). The terminal catches this round every handler.
struct MqlCritical {
  std::string what;  // "zero divide in 'Risk.mqh' (41)"
};
[[noreturn]] void mql_critical(const std::string &what, const char *file = __builtin_FILE(),
                               int line = __builtin_LINE());

struct string;
struct datetime;

// terminal: a finding of the harness: reported, the run counts as failed, the program goes on.
void mql_violation(const std::string &what);
// terminal: called right before a DLL function; throws MqlCritical where DLLs are not allowed.
void mql_dll_call(const char *library, const char *function);
// terminal: sets _LastError.
void mql_set_error(int code);
// terminal: where Print, Alert and Comment write.
void mql_log(const string &text);
void mql_alert(const string &text);
void mql_comment(const string &text);

// NULL: the null string, or zero of any number or enumeration (never a pointer).
#undef NULL
struct MqlNull {
  template <class T, class = std::enable_if_t<mql_is_number<T>>>
  constexpr operator T() const {
    return T(0);
  }
};
constexpr MqlNull NULL_{};
#define NULL NULL_

// `const T &` parameters take variables only: the compiler refuses literals and temporaries
// (error 200), where C++ would bind them. The emitted function unwraps `.r` on entry.
template <class T>
struct Lv {
  const T &r;
  Lv(const T &variable) : r(variable) {}
  Lv(const T &&) = delete;
};

// A member of every structure that holds a string or a dynamic array: such a structure is neither
// copied nor returned (errors 216, 293), while an array of it may still grow.
struct MqlNoCopy {
  MqlNoCopy() = default;
  MqlNoCopy(MqlNoCopy &&) = default;
  MqlNoCopy &operator=(MqlNoCopy &&) = default;
  MqlNoCopy(const MqlNoCopy &) = delete;
  MqlNoCopy &operator=(const MqlNoCopy &) = delete;
};
