// kernel32.dll for translated programs: only what the EA asks of Windows.
#include "clock.hpp"

extern "C" {

// learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-getsystemtimeasfiletime: UTC, in
// 100 ns since 1601-01-01, as 8 bytes with the low half first.
void mqldll_kernel32__GetSystemTimeAsFileTime(long *filetime) {
  constexpr long SECONDS_1601_TO_1970 = 11'644'473'600L;
  *filetime = (terminal::clock().wall_us() + SECONDS_1601_TO_1970 * 1'000'000L) * 10;
}

}  // extern "C"
