// events.hpp - docs.mql4.com/eventfunctions, docs.mql4.com/basis/function/events,
// docs.mql4.com/check/getlasterror, docs.mql4.com/common
#pragma once
#include "runtime/base.hpp"

// docs.mql4.com/basis/function/events: what OnInit returns
enum ENUM_INIT_RETCODE {
  INIT_SUCCEEDED = 0,
  INIT_FAILED = 1,
  INIT_PARAMETERS_INCORRECT = 32767,
  INIT_AGENT_NOT_SUITABLE = 32768
};
// docs.mql4.com/constants/namedconstants/uninit
enum {
  REASON_PROGRAM = 0,
  REASON_REMOVE = 1,
  REASON_RECOMPILE = 2,
  REASON_CHARTCHANGE = 3,
  REASON_CHARTCLOSE = 4,
  REASON_PARAMETERS = 5,
  REASON_ACCOUNT = 6,
  REASON_TEMPLATE = 7,
  REASON_INITFAILED = 8,
  REASON_CLOSE = 9
};

// eventfunctions/eventsetmillisecondtimer, eventsettimer, eventkilltimer
bool EventSetMillisecondTimer(int milliseconds);
bool EventSetTimer(int seconds);
void EventKillTimer();
// common/expertremove: the program ends after the handler that called it
void ExpertRemove();
// check/getlasterror: reading clears it; common/resetlasterror
int GetLastError();
void ResetLastError();
extern int _LastError;
