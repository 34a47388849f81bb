// program.cpp - inputs by name, and critical errors.
#include "program.hpp"

#include <cerrno>
#include <cstdlib>

#include "base.hpp"

namespace {

struct Input {
  std::string name;
  void *slot;
  MqlInput::Setter setter;
};

// Inside a function: inputs register before main() in an order nobody knows.
std::vector<Input> &inputs() {
  static std::vector<Input> all;
  return all;
}

}  // namespace

void mql_critical(const std::string &what, const char *file, int line) {
  const std::string path = file;
  const std::string name = path.substr(path.find_last_of("/\\") + 1);
  throw MqlCritical{what + " in '" + name + "' (" + std::to_string(line) + ")"};
}

void MqlInput::add(const char *name, void *slot, Setter setter) {
  inputs().push_back(Input{name, slot, setter});
}

bool mql_set_input(const std::string &name, const std::string &value) {
  for (const Input &input : inputs())
    if (input.name == name) return input.setter(input.slot, value);
  return false;
}

std::vector<std::string> mql_input_names() {
  std::vector<std::string> names;
  for (const Input &input : inputs()) names.push_back(input.name);
  return names;
}

bool mql_parse(const std::string &text, bool &out) {
  if (text != "true" && text != "false") return false;
  out = text == "true";
  return true;
}

bool mql_parse(const std::string &text, long &out) {
  char *end = nullptr;
  errno = 0;
  out = std::strtol(text.c_str(), &end, 10);
  return !text.empty() && *end == '\0' && errno == 0;
}

bool mql_parse(const std::string &text, double &out) {
  char *end = nullptr;
  errno = 0;
  out = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' && errno == 0;
}
