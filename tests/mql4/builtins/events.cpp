#include "events.hpp"

#include "runtime/text.hpp"
#include "simulator/broker.hpp"
#include "simulator/host.hpp"
#include "simulator/program.hpp"
#include "simulator/report.hpp"

int _LastError = 0;

namespace {

constexpr int WRONG_PARAMETER = 4051;
bool libraries_missing = false;

void say(const char *event, const string &text) {
  terminal::report(event, terminal::Json().text("text", text.u8()));
}

}  // namespace

void mql_violation(const std::string &what) { terminal::violation(what); }
void mql_set_error(int code) { _LastError = code; }
void mql_log(const string &text) { say("print", text); }
void mql_alert(const string &text) { say("alert", text); }
void mql_comment(const string &text) { say("comment", text); }

void mql_dll_call(const char *library, const char *function) {
  if (terminal::broker().flags["dlls"]) return;
  throw MqlCritical{std::string("DLL is not allowed: ") + library + " " + function};
}

void terminal::host::lose_libraries(bool missing) { libraries_missing = missing; }

bool terminal::host::libraries_load() {
  if (!libraries_missing) return true;
  report("critical", Json()
                         .text("text", "Cannot load library 'libzmq.dll' (error 126)")
                         .text("handler", "load"));
  return false;
}

bool EventSetMillisecondTimer(int milliseconds) {
  if (milliseconds <= 0) {
    mql_set_error(WRONG_PARAMETER);
    return false;
  }
  terminal::program().set_timer(milliseconds);
  return true;
}

bool EventSetTimer(int seconds) { return EventSetMillisecondTimer(seconds * 1000); }
void EventKillTimer() { terminal::program().kill_timer(); }
void ExpertRemove() { terminal::program().remove(); }

int GetLastError() {
  const int code = _LastError;
  _LastError = 0;
  return code;
}

void ResetLastError() { _LastError = 0; }
