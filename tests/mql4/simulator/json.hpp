// One JSON object, written member by member (RFC 8259). The harness only ever writes JSON.
#pragma once
#include <string>
#include <vector>

namespace terminal {

// Returns the text as a JSON string, quotes included. Bytes are taken to be UTF-8.
std::string json_text(const std::string &text);

// Returns the shortest decimal text that reads back as the same double; "null" if not finite.
std::string json_real(double value);

class Json {
 public:
  Json &text(const char *name, const std::string &value);
  Json &integer(const char *name, long value);
  Json &real(const char *name, double value);
  Json &flag(const char *name, bool value);
  // The value is JSON already.
  Json &raw(const char *name, const std::string &json);
  std::string done() const;

 private:
  std::string members_;
};

std::string json_array(const std::vector<std::string> &items);

}  // namespace terminal
