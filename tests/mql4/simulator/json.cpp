#include "json.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace terminal {

std::string json_text(const std::string &text) {
  std::string out = "\"";
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if (each == '"' || each == '\\') {
      out += '\\';
      out += each;
    } else if (byte < 0x20 || byte == 0x7F) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      out += escape;
    } else {
      out += each;
    }
  }
  return out + '"';
}

std::string json_real(double value) {
  if (!std::isfinite(value)) return "null";
  char digits[64];
  const auto end = std::to_chars(digits, digits + sizeof digits, value);
  return std::string(digits, end.ptr);
}

Json &Json::raw(const char *name, const std::string &json) {
  if (!members_.empty()) members_ += ',';
  members_ += json_text(name) + ':' + json;
  return *this;
}

Json &Json::text(const char *name, const std::string &value) {
  return raw(name, json_text(value));
}

Json &Json::integer(const char *name, long value) { return raw(name, std::to_string(value)); }

Json &Json::real(const char *name, double value) { return raw(name, json_real(value)); }

Json &Json::flag(const char *name, bool value) { return raw(name, value ? "true" : "false"); }

std::string Json::done() const { return '{' + members_ + '}'; }

std::string json_array(const std::vector<std::string> &items) {
  std::string out = "[";
  for (const std::string &item : items) {
    if (out.size() > 1) out += ',';
    out += item;
  }
  return out + ']';
}

}  // namespace terminal
