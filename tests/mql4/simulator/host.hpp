// What the terminal asks of the built-in functions (implemented in builtins/*.cpp).
#pragma once
#include <string>
#include <vector>

namespace terminal::host {

void begin_event();  // a handler is about to run: no order is selected (policy, see orders.hpp)

void set_folder(const std::string &folder);    // the folder that holds MQL4/Files
std::vector<std::string> open_files();         // their names; all are closed by asking

// DLLs are bound when the program is loaded (docs.mql4.com/runtime/imports).
void lose_libraries(bool missing);
bool libraries_load();  // false after reporting that one is missing

void set_build(int build);
int build();

void set_global(const std::string &name, double value);
bool get_global(const std::string &name, double &value);
void load_globals(const std::string &path);
void save_globals();  // to that file; temporary ones are not kept

}  // namespace terminal::host
