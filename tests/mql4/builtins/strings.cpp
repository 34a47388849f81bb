#include "strings.hpp"

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

namespace {

constexpr int OUT_OF_RANGE = 5041;  // the page names no number; this is MQL5's for a wrong position

bool is_blank(char16_t c) { return c == u' ' || c == u'\t' || c == u'\r' || c == u'\n'; }

char16_t upper(char16_t c) { return c >= u'a' && c <= u'z' ? static_cast<char16_t>(c - 32) : c; }
char16_t lower(char16_t c) { return c >= u'A' && c <= u'Z' ? static_cast<char16_t>(c + 32) : c; }

// Bytes in a code page. The ANSI page of the harness's PC is Latin-1; others become '?'.
std::string encoded(const std::u16string &units, uint codepage) {
  if (codepage == CP_UTF8) return string(units).u8();
  std::string bytes;
  for (const char16_t unit : units) bytes += unit < 256 ? static_cast<char>(unit) : '?';
  return bytes;
}

}  // namespace

int StringLen(const string &text) { return static_cast<int>(text.s.size()); }

string StringSubstr(const string &text, int start, int length) {
  if (start < 0 || start >= StringLen(text)) return string(std::u16string());
  // The terminal takes 0 for "to the end": a computed length of 0 returns the rest of the text.
  if (length == 0) mql_violation("StringSubstr with length 0 gives everything to the end");
  const size_t count = length <= 0 ? std::u16string::npos : static_cast<size_t>(length);
  return string(text.s.substr(static_cast<size_t>(start), count));
}

int StringFind(const string &text, const string &match, int start) {
  const size_t from = start < 0 ? 0 : static_cast<size_t>(start);
  const size_t found = text.s.find(match.s, from);
  return found == std::u16string::npos ? -1 : static_cast<int>(found);
}

ushort StringGetCharacter(const string &text, int position) {
  if (position < 0 || position >= StringLen(text)) {
    mql_violation("StringGetCharacter outside the text");
    mql_set_error(OUT_OF_RANGE);
    return 0;
  }
  return text.s[static_cast<size_t>(position)];
}

bool StringSetCharacter(string &text, int position, ushort value) {
  if (position < 0 || position > StringLen(text)) {
    mql_set_error(OUT_OF_RANGE);
    return false;
  }
  const auto at = static_cast<size_t>(position);
  if (value == 0)
    text.s.resize(at);
  else if (position == StringLen(text))
    text.s += static_cast<char16_t>(value);
  else
    text.s[at] = static_cast<char16_t>(value);
  text.null = false;
  return true;
}

int StringReplace(string &text, const string &find, const string &replacement) {
  if (find.s.empty()) return 0;
  int count = 0;
  for (size_t at = text.s.find(find.s); at != std::u16string::npos; at = text.s.find(find.s, at)) {
    text.s.replace(at, find.s.size(), replacement.s);
    at += replacement.s.size();
    ++count;
  }
  return count;
}

int StringSplit(const string &text, ushort separator, MqlArray<string> &parts) {
  parts.grow(0);
  if (text.s.empty()) return 0;
  // Not character by character: a sanitizer looks at every one, and each start splits the vectors.
  std::vector<string> pieces;
  size_t from = 0;
  for (size_t to; (to = text.s.find(separator, from)) != std::u16string::npos; from = to + 1)
    pieces.emplace_back(text.s.substr(from, to - from));
  pieces.emplace_back(text.s.substr(from));
  parts.grow(static_cast<long>(pieces.size()));
  for (size_t i = 0; i < pieces.size(); ++i) parts.d[i] = pieces[i];
  return static_cast<int>(pieces.size());
}

string StringTrimLeft(const string &text) {
  size_t from = 0;
  while (from < text.s.size() && is_blank(text.s[from])) ++from;
  return string(text.s.substr(from));
}

string StringTrimRight(const string &text) {
  size_t to = text.s.size();
  while (to > 0 && is_blank(text.s[to - 1])) --to;
  return string(text.s.substr(0, to));
}

bool StringToUpper(string &text) {
  for (char16_t &unit : text.s) unit = upper(unit);
  return true;
}

bool StringToLower(string &text) {
  for (char16_t &unit : text.s) unit = lower(unit);
  return true;
}

int StringCompare(const string &first, const string &second, bool case_sensitive) {
  string a = first;
  string b = second;
  if (!case_sensitive) {
    StringToLower(a);
    StringToLower(b);
  }
  return a.s == b.s ? 0 : a.s < b.s ? -1 : 1;
}

bool StringAdd(string &text, const string &more) {
  text += more;
  return true;
}

string CharToString(uchar code) { return ShortToString(code); }

string ShortToString(ushort code) {
  return string(std::u16string(1, static_cast<char16_t>(code)));
}

long StringToInteger(const string &text) {
  // Out of range the real function wraps; nobody may rely on either.
  errno = 0;
  const long value = std::strtol(text.u8().c_str(), nullptr, 10);
  if (errno == ERANGE) mql_violation("StringToInteger: out of the range of a long");
  return value;
}

double StringToDouble(const string &text) {
  const std::string bytes = text.u8();
  // strtod knows words and hexadecimal, the terminal does not.
  const size_t end = bytes.find_first_not_of(" \t+-.0123456789eE");
  return std::strtod(bytes.substr(0, end).c_str(), nullptr);
}

datetime StringToTime(const string &text) {
  tm parts{};
  int month = 1;
  parts.tm_mday = 1;
  const int fields = std::sscanf(text.u8().c_str(), "%d.%d.%d %d:%d:%d", &parts.tm_year, &month,
                                 &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec);
  if (fields < 3) return datetime(0);
  parts.tm_year -= 1900;
  parts.tm_mon = month - 1;
  return datetime(timegm(&parts));
}

int StringToCharArray(const string &text, MqlArray<uchar> &array, int start, int count,
                      uint codepage) {
  if (start < 0) return 0;
  std::u16string units = text.s;
  if (count >= 0) units = units.substr(0, static_cast<size_t>(count));
  std::string bytes = encoded(units, codepage);
  if (count < 0) bytes += '\0';
  const long wanted = start + static_cast<long>(bytes.size());
  if (wanted > array.n) {
    if (array.dyn)
      array.grow(wanted);
    else
      bytes.resize(array.n > start ? static_cast<size_t>(array.n - start) : 0);
  }
  if (!bytes.empty()) std::memcpy(array.d.get() + start, bytes.data(), bytes.size());
  return static_cast<int>(bytes.size());
}

string CharArrayToString(const MqlArray<uchar> &array, int start, int count, uint codepage) {
  if (start < 0 || start >= array.n) return string(std::u16string());
  long length = count < 0 ? array.n - start : count;
  if (length > array.n - start) length = array.n - start;
  std::string bytes(reinterpret_cast<const char *>(array.d.get()) + start,
                    static_cast<size_t>(length));
  bytes = bytes.substr(0, bytes.find('\0'));
  if (codepage == CP_UTF8) return string(bytes);
  std::u16string units;
  for (const char byte : bytes) units += static_cast<unsigned char>(byte);
  return string(units);
}
