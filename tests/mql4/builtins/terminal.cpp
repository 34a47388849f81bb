#include "terminal.hpp"

#include "simulator/broker.hpp"
#include "simulator/host.hpp"
#include "simulator/program.hpp"

namespace {

int build_number = 1420;

bool flag(const char *name) { return terminal::broker().flags[name]; }

}  // namespace

void terminal::host::set_build(int build) { build_number = build; }
int terminal::host::build() { return build_number; }

int TerminalInfoInteger(ENUM_TERMINAL_INFO_INTEGER property) {
  switch (property) {
    case TERMINAL_BUILD: return build_number;
    case TERMINAL_CONNECTED: return flag("connected");
    case TERMINAL_DLLS_ALLOWED: return flag("dlls");
    case TERMINAL_TRADE_ALLOWED: return flag("trade_allowed");
  }
  return 0;
}

string TerminalInfoString(ENUM_TERMINAL_INFO_STRING property) {
  switch (property) {
    case TERMINAL_COMPANY: return string(terminal::broker().account.company);
    case TERMINAL_NAME: return string("MetaTrader 4 (simulated)");
    default: return string("C:\\Terminal");
  }
}

int MQLInfoInteger(ENUM_MQL_INFO_INTEGER property) {
  switch (property) {
    case MQL_PROGRAM_TYPE: return 2;  // PROGRAM_EXPERT
    case MQL_DLLS_ALLOWED: return flag("dlls");
    case MQL_TRADE_ALLOWED: return flag("expert");
    case MQL_TESTER: return flag("tester");
    case MQL_DEBUG: return 0;
  }
  return 0;
}

string MQLInfoString(ENUM_MQL_INFO_STRING) { return string(terminal::program().name()); }

bool IsConnected() { return flag("connected"); }

bool IsTradeAllowed() {
  return flag("trade_allowed") && flag("expert") && !terminal::broker().context_busy();
}

bool IsTradeContextBusy() { return terminal::broker().context_busy(); }
bool IsDllsAllowed() { return flag("dlls"); }
bool IsExpertEnabled() { return flag("trade_allowed"); }
bool IsTesting() { return flag("tester"); }
bool IsOptimization() { return false; }
bool IsVisualMode() { return false; }
bool IsStopped() { return terminal::program().stopping(); }
int UninitializeReason() { return terminal::program().reason(); }
bool IsDemo() { return terminal::broker().account.demo; }
