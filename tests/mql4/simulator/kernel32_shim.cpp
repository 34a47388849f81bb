// kernel32.dll for translated programs: only what the EA asks of Windows.
#include <cstring>

#include "clock.hpp"
#include "report.hpp"
#include "runtime/array.hpp"

extern "C" {

// learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-getsystemtimeasfiletime: UTC, in
// 100 ns since 1601-01-01, as 8 bytes with the low half first; declared with `uint &filetime[]`.
void mqldll_kernel32__GetSystemTimeAsFileTime(MqlBuf filetime) {
  constexpr long SECONDS_1601_TO_1970 = 11'644'473'600L;
  const long now = (terminal::clock().wall_us() + SECONDS_1601_TO_1970 * 1'000'000L) * 10;
  if (filetime.bytes < sizeof now) {
    terminal::violation("GetSystemTimeAsFileTime writes past the array: it needs 8 bytes");
    return;
  }
  std::memcpy(filetime.p, &now, sizeof now);
}

}  // extern "C"
