#include "globals.hpp"

#include <fstream>
#include <iomanip>
#include <iterator>
#include <map>

#include "simulator/clock.hpp"
#include "simulator/host.hpp"

namespace {

constexpr int NO_SUCH_GLOBAL = 4058;
constexpr int NAME_TOO_LONG = 4059;
constexpr size_t NAME_CHARS = 63;

struct Global {
  double value = 0;
  long time_s = 0;
  bool temporary = false;
};
std::map<std::string, Global> globals;

std::string &saved_at() {
  static std::string path;
  return path;
}

Global *find(const string &name) {
  const auto found = globals.find(name.u8());
  if (found != globals.end()) {
    found->second.time_s = terminal::clock().wall_us() / 1'000'000;
    return &found->second;
  }
  mql_set_error(NO_SUCH_GLOBAL);
  return nullptr;
}

bool named_well(const string &name) {
  if (!name.s.empty() && name.s.size() <= NAME_CHARS) return true;
  mql_violation("a global variable's name has 1 to 63 characters");
  mql_set_error(NAME_TOO_LONG);
  return false;
}

}  // namespace

void terminal::host::load_globals(const std::string &path) {
  saved_at() = path;
  std::ifstream in(path);
  std::string name;
  double value = 0;
  while (in >> std::quoted(name) >> value) globals[name] = Global{value, 0, false};
}

void terminal::host::save_globals() {
  if (saved_at().empty()) return;
  std::ofstream out(saved_at(), std::ios::trunc);
  out.precision(17);
  for (const auto &[name, global] : globals)
    if (!global.temporary) out << std::quoted(name) << ' ' << global.value << '\n';
}

void terminal::host::set_global(const std::string &name, double value) {
  globals[name].value = value;
}

bool terminal::host::get_global(const std::string &name, double &value) {
  const auto found = globals.find(name);
  if (found != globals.end()) value = found->second.value;
  return found != globals.end();
}

datetime GlobalVariableSet(const string &name, double value) {
  if (!named_well(name)) return datetime(0);
  Global &global = globals[name.u8()];
  global.value = value;
  global.time_s = terminal::clock().wall_us() / 1'000'000;
  return datetime(global.time_s);
}

double GlobalVariableGet(const string &name) {
  const Global *global = find(name);
  return global ? global->value : 0;
}

bool GlobalVariableGet(const string &name, double &value) {
  const Global *global = find(name);
  if (global != nullptr) value = global->value;
  return global != nullptr;
}

bool GlobalVariableCheck(const string &name) { return globals.count(name.u8()) > 0; }

bool GlobalVariableDel(const string &name) {
  if (globals.erase(name.u8()) > 0) return true;
  mql_set_error(NO_SUCH_GLOBAL);
  return false;
}

datetime GlobalVariableTime(const string &name) {
  const Global *global = find(name);
  return datetime(global ? global->time_s : 0);
}

bool GlobalVariableTemp(const string &name) {
  if (!named_well(name) || GlobalVariableCheck(name)) return false;
  globals[name.u8()] = Global{0, terminal::clock().wall_us() / 1'000'000, true};
  return true;
}

bool GlobalVariableSetOnCondition(const string &name, double value, double check_value) {
  Global *global = find(name);
  if (global == nullptr || global->value != check_value) return false;
  global->value = value;
  return true;
}

int GlobalVariablesTotal() { return static_cast<int>(globals.size()); }

string GlobalVariableName(int index) {
  if (index < 0 || index >= GlobalVariablesTotal()) return string();
  return string(std::next(globals.begin(), index)->first);
}

void GlobalVariablesFlush() { terminal::host::save_globals(); }
