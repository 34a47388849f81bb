// times.hpp - docs.mql4.com/dateandtime and docs.mql4.com/common (clocks)
#pragma once
#include "runtime/moment.hpp"

// docs.mql4.com/constants/structures/mqldatetime
struct MqlDateTime {
  int year;
  int mon;
  int day;
  int hour;
  int min;
  int sec;
  int day_of_week;
  int day_of_year;
};

// dateandtime/timecurrent: time of the last quote, in the broker's time zone
datetime TimeCurrent();
// dateandtime/timegmt, timelocal: the PC's clock; its time zone is UTC here
datetime TimeGMT();
datetime TimeLocal();
// dateandtime/timegmtoffset
int TimeGMTOffset();
// dateandtime/timetostruct, structtotime
bool TimeToStruct(datetime time, MqlDateTime &parts);
datetime StructToTime(const MqlDateTime &parts);
// common/gettickcount: ms since the start of the system; wraps after 49.7 days
uint GetTickCount();
// common/getmicrosecondcount: us since the start of the program
ulong GetMicrosecondCount();
// common/sleep: not in the tester
void Sleep(int milliseconds);
