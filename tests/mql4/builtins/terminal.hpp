// terminal.hpp - docs.mql4.com/check and docs.mql4.com/constants/environment_state
#pragma once
#include "runtime/text.hpp"

// docs.mql4.com/constants/environment_state/terminalstatus
enum ENUM_TERMINAL_INFO_INTEGER {
  TERMINAL_BUILD = 5,
  TERMINAL_CONNECTED = 6,
  TERMINAL_DLLS_ALLOWED = 7,
  TERMINAL_TRADE_ALLOWED = 8
};
enum ENUM_TERMINAL_INFO_STRING {
  TERMINAL_COMPANY = 1,
  TERMINAL_NAME = 2,
  TERMINAL_PATH = 3,
  TERMINAL_DATA_PATH = 4
};
// docs.mql4.com/constants/environment_state/mql4_programm_info
enum ENUM_MQL_INFO_INTEGER {
  MQL_PROGRAM_TYPE = 2,
  MQL_DLLS_ALLOWED = 3,
  MQL_TRADE_ALLOWED = 4,
  MQL_DEBUG = 5,
  MQL_TESTER = 6
};
enum ENUM_MQL_INFO_STRING { MQL_PROGRAM_NAME = 0, MQL_PROGRAM_PATH = 1 };

// check/terminalinfointeger: int in MQL4; check/terminalinfostring
int TerminalInfoInteger(ENUM_TERMINAL_INFO_INTEGER property);
string TerminalInfoString(ENUM_TERMINAL_INFO_STRING property);
// check/mqlinfointeger, check/mqlinfostring
int MQLInfoInteger(ENUM_MQL_INFO_INTEGER property);
string MQLInfoString(ENUM_MQL_INFO_STRING property);
// check/isconnected, istradeallowed (false also while the trade context is busy),
// istradecontextbusy, isdllsallowed, isexpertenabled, istesting, isoptimization, isvisualmode
bool IsConnected();
bool IsTradeAllowed();
bool IsTradeContextBusy();
bool IsDllsAllowed();
bool IsExpertEnabled();
bool IsTesting();
bool IsOptimization();
bool IsVisualMode();
// check/isstopped, check/uninitializereason
bool IsStopped();
int UninitializeReason();
// check/isdemo
bool IsDemo();
