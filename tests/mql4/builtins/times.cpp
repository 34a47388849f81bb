#include "times.hpp"

#include <ctime>

#include "simulator/broker.hpp"
#include "simulator/clock.hpp"
#include "simulator/pump.hpp"

datetime TimeCurrent() { return datetime(terminal::broker().last_quote_s()); }

datetime TimeGMT() { return datetime(terminal::clock().wall_us() / 1'000'000); }

datetime TimeLocal() { return TimeGMT(); }

int TimeGMTOffset() { return 0; }

bool TimeToStruct(datetime time, MqlDateTime &parts) {
  const time_t seconds = time.v;
  tm split{};
  if (gmtime_r(&seconds, &split) == nullptr) return false;
  parts = MqlDateTime{split.tm_year + 1900, split.tm_mon + 1, split.tm_mday, split.tm_hour,
                      split.tm_min,         split.tm_sec,     split.tm_wday, split.tm_yday};
  return true;
}

datetime StructToTime(const MqlDateTime &parts) {
  tm joined{};
  joined.tm_year = parts.year - 1900;
  joined.tm_mon = parts.mon - 1;
  joined.tm_mday = parts.day;
  joined.tm_hour = parts.hour;
  joined.tm_min = parts.min;
  joined.tm_sec = parts.sec;
  return datetime(timegm(&joined));
}

uint GetTickCount() { return static_cast<uint>(terminal::clock().mono_us() / 1000); }

ulong GetMicrosecondCount() {
  static const long began = terminal::real_us();
  return static_cast<ulong>(terminal::real_us() - began);
}

void Sleep(int milliseconds) {
  if (milliseconds > 0 && !terminal::broker().flags["tester"])
    terminal::wait_in_sleep(milliseconds);
}
