// math.hpp - docs.mql4.com/math
#pragma once
#include <cfloat>  // DBL_MAX, DBL_EPSILON: docs.mql4.com/constants/namedconstants/typeconstants
#include <climits>  // INT_MAX, LONG_MAX and their like: the same page
#include <cmath>
#include <cstdlib>
#include <type_traits>

#include "runtime/base.hpp"

// math/mathabs
template <class T>
T MathAbs(T value) {
  return value < 0 ? static_cast<T>(-value) : value;
}
// math/mathmax, math/mathmin
template <class A, class B>
std::common_type_t<A, B> MathMax(A first, B second) {
  return first > second ? first : second;
}
template <class A, class B>
std::common_type_t<A, B> MathMin(A first, B second) {
  return first < second ? first : second;
}
// math/mathfloor, mathceil, mathround, mathpow, mathsqrt, mathmod, mathlog, mathexp
inline double MathFloor(double value) { return std::floor(value); }
inline double MathCeil(double value) { return std::ceil(value); }
inline double MathRound(double value) { return std::round(value); }
inline double MathPow(double base, double exponent) { return std::pow(base, exponent); }
inline double MathSqrt(double value) { return std::sqrt(value); }
inline double MathMod(double value, double divisor) { return std::fmod(value, divisor); }
inline double MathLog(double value) { return std::log(value); }
inline double MathExp(double value) { return std::exp(value); }
// math/mathisvalidnumber
inline bool MathIsValidNumber(double value) { return std::isfinite(value); }
// math/mathrand: 0 to 32767; math/mathsrand
inline int MathRand() { return std::rand() & 32767; }
inline void MathSrand(int seed) { std::srand(static_cast<unsigned>(seed)); }
// convert/normalizedouble
inline double NormalizeDouble(double value, int digits) {
  const double scale = std::pow(10.0, digits < 0 ? 0 : digits > 8 ? 8 : digits);
  return std::round(value * scale) / scale;
}
