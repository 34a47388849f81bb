// moment.hpp - datetime: seconds since 1970, 64 bits; a type of its own to Print and overloads.
#pragma once
#include "base.hpp"

struct datetime {
  long v;

  datetime() = default;
  template <class T, class = std::enable_if_t<std::is_arithmetic<T>::value>>
  constexpr datetime(T seconds) : v(static_cast<long>(seconds)) {}
  constexpr datetime(MqlNull) : v(0) {}
  constexpr operator long() const { return v; }
  datetime &operator+=(long seconds) {
    v += seconds;
    return *this;
  }
  datetime &operator-=(long seconds) {
    v -= seconds;
    return *this;
  }
};
