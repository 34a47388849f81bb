// host.cpp - a terminal of the smallest kind: runs translated programs one after the other and says
// what each did, a line each: NAME, tab, text. Inputs come as NAME=VALUE arguments.
#include <cstdio>

#include "runtime/language.hpp"

struct NamedProgram {
  const char *name;
  void (*hooks)(MqlHooks &);
};
extern const NamedProgram programs[];
extern const int programs_count;

namespace {

const char *running = "";

void say(const std::string &text) {
  std::printf("%s\t%s\n", running, text.c_str());
  std::fflush(stdout);
}

uint last(MqlBuf buffer) { return static_cast<const uchar *>(buffer.p)[buffer.bytes - 1]; }

}  // namespace

void mql_violation(const std::string &what) { say("violation: " + what); }
void mql_dll_call(const char *library, const char *function) {
  say(std::string("dll: ") + library + " " + function);
}
void mql_set_error(int) {}
void mql_log(const string &text) { say(text.u8()); }
void mql_alert(const string &text) { say("alert: " + text.u8()); }
void mql_comment(const string &text) { say("comment: " + text.u8()); }

// The DLL of imports.txt.
extern "C" {
int mqldll_language__Sum(MqlBuf bytes, int count) {
  int sum = 0;
  if (bytes.bytes != static_cast<size_t>(count)) return -1;
  for (int i = 0; i < count; i++) sum += static_cast<const uchar *>(bytes.p)[i];
  return sum;
}
int mqldll_language__Length(const char16_t *text) {
  return text ? static_cast<int>(std::char_traits<char16_t>::length(text)) : -1;
}
void mqldll_language__Fill(MqlBuf out, int *written) {
  static_cast<uint *>(out.p)[1] = 77;
  *written = static_cast<int>(out.bytes);
}
int mqldll_language__Option(int, int *value, int) { return *value; }
int mqldll_language__Option_2(int, MqlBuf value, int) {
  return 100 + static_cast<int>(last(value));
}
long mqldll_language__Move(void *point) {
  int *xy = static_cast<int *>(point);
  xy[0]++;
  return xy[0] + xy[1] - 1;
}
int mqldll_language__Nothing() { return 42; }
}

int main(int count, char **arguments) {
  for (int i = 1; i < count; i++) {
    const std::string argument = arguments[i];
    const size_t at = argument.find('=');
    if (!mql_set_input(argument.substr(0, at), argument.substr(at + 1)))
      std::printf("input\t%s refused\n", argument.c_str());
  }
  for (int i = 0; i < programs_count; i++) {
    running = programs[i].name;
    std::fprintf(stderr, "== %s\n", running);
    MqlHooks hooks;
    programs[i].hooks(hooks);
    try {
      if (hooks.OnInit) hooks.OnInit();
    } catch (const MqlCritical &error) {
      say("critical: " + error.what);
    }
  }
  return 0;
}
