// program.hpp - a translated program as the terminal sees it: its event handlers and its inputs.
#pragma once
#include <string>
#include <vector>

#include "text.hpp"

// Null where the program has no such handler.
struct MqlHooks {
  int (*OnInit)() = nullptr;  // `void OnInit()` is wrapped and gives 0
  void (*OnDeinit)(int reason) = nullptr;
  void (*OnTick)() = nullptr;
  void (*OnTimer)() = nullptr;
  void (*OnStart)() = nullptr;  // a script
};
// Defined by the translated program.
void mql_hooks(MqlHooks &hooks);
// "property name=value" lines of the main file, in order.
const std::vector<std::string> &mql_properties();

// Sets an input by its name; false if there is none of that name or the text is no value of its
// type (integers and enumerations in decimal, double, true|false, string as it is).
bool mql_set_input(const std::string &name, const std::string &value);
std::vector<std::string> mql_input_names();

bool mql_parse(const std::string &text, bool &out);
bool mql_parse(const std::string &text, long &out);
bool mql_parse(const std::string &text, double &out);

// Emitted for each `input`, `sinput` and `extern`: registers the variable behind the name.
struct MqlInput {
  using Setter = bool (*)(void *slot, const std::string &text);
  template <class T>
  MqlInput(const char *name, T &slot) {
    add(name, &slot, [](void *target, const std::string &text) {
      T &variable = *static_cast<T *>(target);
      if constexpr (std::is_same<T, string>::value) {
        variable = string(text);
        return true;
      } else if constexpr (std::is_same<T, bool>::value || std::is_same<T, double>::value) {
        T value{};
        if (!mql_parse(text, value)) return false;
        variable = value;
        return true;
      } else {
        long number = 0;
        if (!mql_parse(text, number) || static_cast<long>(static_cast<T>(number)) != number)
          return false;
        variable = static_cast<T>(number);
        return true;
      }
    });
  }

 private:
  static void add(const char *name, void *slot, Setter setter);
};
