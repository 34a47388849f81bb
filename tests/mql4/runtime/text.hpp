// text.hpp - the MQL4 string: a value of UTF-16 code units, which may be NULL.
#pragma once
#include "base.hpp"

struct string {
  std::u16string s;
  bool null = true;  // NULL and "" are different to ==, alike to StringLen

  string() {}
  string(MqlNull) {}
  string(const std::u16string &units) : s(units), null(false) {}
  explicit string(const std::string &utf8);  // invalid bytes become U+FFFD
  explicit string(const char *utf8) : string(std::string(utf8)) {}
  // An implicit conversion from a number is only a warning of the real compiler (181); here the
  // program has to say (string)x. Written as the cast writes: 16 significant digits, true/false.
  template <class T, class = std::enable_if_t<mql_is_number<T>>>
  explicit string(T number);
  explicit string(const datetime &time);

  std::string u8() const;  // lone surrogates become U+FFFD
  const char16_t *c16() const { return null ? nullptr : s.c_str(); }
  string &operator+=(const string &other);
};

template <size_t N>
string _S(const char16_t (&literal)[N]) {
  return string(std::u16string(literal, N - 1));
}
string _S(const char *ascii);

string operator+(const string &a, const string &b);
// string + number is warning 181 of the real compiler and a classic error; refused here.
template <class T, class = std::enable_if_t<mql_is_number<T>>>
string operator+(const string &, T) = delete;
template <class T, class = std::enable_if_t<mql_is_number<T>>>
string operator+(T, const string &) = delete;
bool operator==(const string &a, const string &b);
bool operator<(const string &a, const string &b);
inline bool operator!=(const string &a, const string &b) { return !(a == b); }
inline bool operator>(const string &a, const string &b) { return b < a; }
inline bool operator<=(const string &a, const string &b) { return !(b < a); }
inline bool operator>=(const string &a, const string &b) { return !(a < b); }
