// format.cpp - what Print and StringFormat write, and what they should not have been given.
#include "format.hpp"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <vector>

namespace {

constexpr int DIGITS_MAX = 16;       // docs.mql4.com/convert/doubletostring
constexpr double WHOLE_MAX = 1e15;   // below, a whole double is shown as 5.0

template <class... A>
std::string printed(const char *format, A... values) {
  const int length = std::snprintf(nullptr, 0, format, values...);
  std::string out(static_cast<size_t>(length) + 1, '\0');
  std::snprintf(out.data(), out.size(), format, values...);
  out.resize(static_cast<size_t>(length));
  return out;
}

bool among(char c, const char *set) { return c != 0 && std::strchr(set, c) != nullptr; }

// One `%...` of a format.
struct Spec {
  std::string flags;  // "%-08." as far as snprintf knows it
  bool wide = false;
  char kind = 0;
};

class Formatter {
 public:
  Formatter(const string &format, std::initializer_list<MqlArg> values)
      : source(format.u8()), arguments(values) {}

  string run() {
    while (at < source.size()) {
      if (source[at] != '%') {
        out += source[at++];
      } else if (at + 1 < source.size() && source[at + 1] == '%') {
        out += '%';
        at += 2;
      } else {
        one(read());
      }
    }
    if (used < arguments.size()) blame("more arguments than specifiers");
    return string(out);
  }

 private:
  std::string source;
  std::vector<MqlArg> arguments;
  std::string out;
  size_t at = 0;
  size_t used = 0;

  void blame(const std::string &what) { mql_violation("StringFormat \"" + source + "\": " + what); }

  Spec read() {
    Spec spec;
    spec.flags = "%";
    at++;
    while (at < source.size() && among(source[at], "-+ #0123456789.*")) {
      if (source[at] == '*') {
        spec.flags += std::to_string(used < arguments.size() ? arguments[used].i : 0);
        used++;
      } else {
        spec.flags += source[at];
      }
      at++;
    }
    if (source.compare(at, 3, "I64") == 0) {
      spec.wide = true;
      at += 3;
    } else if (source.compare(at, 2, "ll") == 0) {
      spec.wide = true;
      at += 2;
    } else if (at < source.size() && among(source[at], "hlL")) {
      at++;
    }
    spec.kind = at < source.size() ? source[at++] : '\0';
    return spec;
  }

  void one(const Spec &spec) {
    const std::string name = spec.flags + spec.kind;
    if (used >= arguments.size()) {
      blame("argument missing for " + name);
      out += "(missed)";
      return;
    }
    const MqlArg &value = arguments[used++];
    if (among(spec.kind, "diuxXoc")) {
      integer(spec, name, value);
    } else if (among(spec.kind, "sS")) {
      if (value.kind != MqlArg::TEXT) blame(name + " is given a number");
      out += printed((spec.flags + "s").c_str(), mql_show(value).u8().c_str());
    } else if (among(spec.kind, "fFeEgGaA")) {
      if (value.kind != MqlArg::REAL) blame(name + " is given no double");
      const double number = value.kind == MqlArg::REAL ? value.d : static_cast<double>(value.i);
      out += printed((spec.flags + spec.kind).c_str(), number);
    } else {
      blame("unknown specifier " + name);
    }
  }

  void integer(const Spec &spec, const std::string &name, const MqlArg &value) {
    if (value.kind == MqlArg::REAL || value.kind == MqlArg::TEXT)
      blame(name + " is given no integer");
    if (spec.kind == 'c') {
      out += string(std::u16string(1, static_cast<char16_t>(value.i))).u8();
      return;
    }
    if (value.wide && !spec.wide) blame(name + " is given 64 bits: write %I64d");
    if (spec.wide)
      out += printed((spec.flags + "l" + spec.kind).c_str(), value.i);
    else
      out += printed((spec.flags + spec.kind).c_str(), static_cast<int>(value.i));
  }
};

std::string show_real(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  if (std::fabs(number) < WHOLE_MAX && number == std::floor(number)) return printed("%.1f", number);
  return printed("%.16g", number);
}

}  // namespace

string mql_format(const string &format, std::initializer_list<MqlArg> values) {
  return Formatter(format, values).run();
}

string mql_show(const MqlArg &value) {
  switch (value.kind) {
    case MqlArg::TEXT:
      return value.s;
    case MqlArg::TIME:
      return TimeToString(datetime(value.i), TIME_DATE | TIME_MINUTES | TIME_SECONDS);
    case MqlArg::BOOL:
      return string(value.i != 0 ? "true" : "false");
    case MqlArg::REAL:
      return string(show_real(value.d));
    case MqlArg::UINT:
      return string(std::to_string(static_cast<ulong>(value.i)));
    case MqlArg::INT:
      break;
  }
  return string(std::to_string(value.i));
}

string::string(const datetime &time) : string(mql_show(MqlArg(time))) {}

string mql_show_all(std::initializer_list<MqlArg> values) {
  string out(std::u16string{});
  for (const MqlArg &value : values) out += mql_show(value);
  return out;
}

// docs.mql4.com/convert/integertostring
string IntegerToString(long number, int length, ushort fill) {
  string out(std::to_string(number));
  while (static_cast<int>(out.s.size()) < length) out.s.insert(out.s.begin(), fill);
  return out;
}

// docs.mql4.com/convert/doubletostring: negative digits mean the scientific form
string DoubleToString(double number, int digits) {
  const int places = digits > DIGITS_MAX ? DIGITS_MAX : digits < -DIGITS_MAX ? -DIGITS_MAX : digits;
  if (places < 0) return string(printed("%.*e", -places, number));
  return string(printed("%.*f", places, number));
}

// docs.mql4.com/convert/timetostring
string TimeToString(datetime time, int mode) {
  const time_t seconds = time.v;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::string out;
  if (mode & TIME_DATE)
    out = printed("%04d.%02d.%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
  if (mode & (TIME_MINUTES | TIME_SECONDS)) {
    if (!out.empty()) out += ' ';
    out += printed("%02d:%02d", parts.tm_hour, parts.tm_min);
    if (mode & TIME_SECONDS) out += printed(":%02d", parts.tm_sec);
  }
  return string(out);
}
