// text.cpp - UTF-8 to UTF-16 and back, and what strings do.
#include "text.hpp"

namespace {

constexpr uint REPLACEMENT = 0xFFFD;

// The bytes of a sequence that begins with `first`; 0 if none does.
size_t sequence_length(uchar first) {
  if (first < 0x80) return 1;
  if (first >> 5 == 0x6) return 2;
  if (first >> 4 == 0xE) return 3;
  if (first >> 3 == 0x1E) return 4;
  return 0;
}

// The code point at `at`, which moves on; an invalid byte is one replacement character.
uint next_code_point(const std::string &bytes, size_t &at) {
  const uchar first = static_cast<uchar>(bytes[at]);
  const size_t length = sequence_length(first);
  if (length <= 1 || at + length > bytes.size()) {
    at++;
    return length == 1 ? first : REPLACEMENT;
  }
  uint point = first & (0x7Fu >> length);
  for (size_t k = 1; k < length; k++) {
    const uchar next = static_cast<uchar>(bytes[at + k]);
    if (next >> 6 != 2) {
      at++;
      return REPLACEMENT;
    }
    point = point << 6 | (next & 0x3Fu);
  }
  const uint smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (point < smallest[length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) {
    at++;
    return REPLACEMENT;
  }
  at += length;
  return point;
}

void append_utf8(std::string &out, uint point) {
  if (point < 0x80) {
    out += static_cast<char>(point);
    return;
  }
  const int more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  const uint marks[] = {0, 0xC0, 0xE0, 0xF0};
  out += static_cast<char>(marks[more] | point >> (6 * more));
  for (int k = more - 1; k >= 0; k--) out += static_cast<char>(0x80 | (point >> (6 * k) & 0x3F));
}

}  // namespace

string::string(const std::string &utf8) : null(false) {
  for (size_t at = 0; at < utf8.size();) {
    const uint point = next_code_point(utf8, at);
    if (point < 0x10000) {
      s += static_cast<char16_t>(point);
    } else {
      s += static_cast<char16_t>(0xD800 + ((point - 0x10000) >> 10));
      s += static_cast<char16_t>(0xDC00 + ((point - 0x10000) & 0x3FF));
    }
  }
}

std::string string::u8() const {
  std::string out;
  for (size_t at = 0; at < s.size(); at++) {
    uint point = s[at];
    const bool high = point >= 0xD800 && point < 0xDC00;
    if (high && at + 1 < s.size() && s[at + 1] >= 0xDC00 && s[at + 1] < 0xE000) {
      point = 0x10000 + ((point - 0xD800) << 10) + (s[at + 1] - 0xDC00u);
      at++;
    } else if (point >= 0xD800 && point < 0xE000) {
      point = REPLACEMENT;
    }
    append_utf8(out, point);
  }
  return out;
}

string &string::operator+=(const string &other) {
  s += other.s;
  null = false;
  return *this;
}

string _S(const char *ascii) { return string(std::string(ascii)); }

string operator+(const string &a, const string &b) { return string(a.s + b.s); }
bool operator==(const string &a, const string &b) { return a.null == b.null && a.s == b.s; }
bool operator<(const string &a, const string &b) { return a.s < b.s; }
