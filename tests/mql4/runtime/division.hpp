// division.hpp - division by zero is a critical error of MQL4 (integers and doubles alike), so
// `a / b` is emitted as `a / mql_div() / b` and `a /= b` as `a /= mql_div() = b`.
#pragma once
#include "base.hpp"

struct MqlDiv {
  const char *file;
  int line;
  template <class T>
  constexpr T operator=(T divisor) const {
    if (divisor == T(0)) mql_critical("zero divide", file, line);
    return divisor;
  }
};
constexpr MqlDiv mql_div(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
  return MqlDiv{file, line};
}

template <class A>
struct MqlDividend {
  A a;
  MqlDiv at;
};
template <class A>
constexpr MqlDividend<A> operator/(A a, MqlDiv at) {
  return {a, at};
}
template <class A>
constexpr MqlDividend<A> operator%(A a, MqlDiv at) {
  return {a, at};
}
template <class A, class B>
constexpr auto operator/(MqlDividend<A> x, B b) -> decltype(x.a / b) {
  return x.a / (x.at = b);
}
template <class A, class B>
constexpr auto operator%(MqlDividend<A> x, B b) -> decltype(x.a % b) {
  return x.a % (x.at = b);
}
