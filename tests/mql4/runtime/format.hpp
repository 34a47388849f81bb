// format.hpp - numbers to text: casts, Print, StringFormat (docs.mql4.com/common/printformat).
//
// The terminal checks no format at all and prints rubbish; here a wrong one is a violation: %s of a
// number, %d of a double or of 64 bits, an argument too few or too many.
#pragma once
#include <initializer_list>

#include "moment.hpp"
#include "text.hpp"

struct MqlArg {
  enum Kind { INT, UINT, REAL, TEXT, TIME, BOOL };
  Kind kind;
  bool wide = false;  // 64 bits
  long i = 0;
  double d = 0;
  string s;

  template <class X, std::enable_if_t<mql_is_integer<X>, int> = 0>
  MqlArg(X x)
      : kind(std::is_same<X, bool>::value      ? BOOL
             : std::is_unsigned<X>::value      ? UINT
                                               : INT),
        wide(sizeof(X) == 8),
        i(static_cast<long>(x)) {}
  MqlArg(double x) : kind(REAL), d(x) {}
  MqlArg(float x) : kind(REAL), d(static_cast<double>(x)) {}
  MqlArg(const string &x) : kind(TEXT), s(x) {}
  MqlArg(datetime x) : kind(TIME), wide(true), i(x.v) {}
  MqlArg(MqlNull) : kind(INT) {}
};

enum { TIME_DATE = 1, TIME_MINUTES = 2, TIME_SECONDS = 4 };

string mql_show(const MqlArg &value);                          // one value, as Print writes it
string mql_show_all(std::initializer_list<MqlArg> values);     // as Print writes a row of them
string mql_format(const string &format, std::initializer_list<MqlArg> values);

template <class T, class>
string::string(T number) : string(mql_show(MqlArg(number))) {}

string IntegerToString(long number, int length = 0, ushort fill = u' ');
string DoubleToString(double number, int digits = 8);
string TimeToString(datetime time, int mode = TIME_DATE | TIME_MINUTES);

template <class... A>
string StringFormat(const string &format, const A &...values) {
  return mql_format(format, {MqlArg(values)...});
}
template <class... A>
void PrintFormat(const string &format, const A &...values) {
  mql_log(mql_format(format, {MqlArg(values)...}));
}
template <class... A>
void Print(const A &...values) {
  mql_log(mql_show_all({MqlArg(values)...}));
}
template <class... A>
void Alert(const A &...values) {
  mql_alert(mql_show_all({MqlArg(values)...}));
}
template <class... A>
void Comment(const A &...values) {
  mql_comment(mql_show_all({MqlArg(values)...}));
}
template <class... A>
string StringConcatenate(const A &...values) {
  return mql_show_all({MqlArg(values)...});
}
