#include "clock.hpp"

#include <time.h>

namespace terminal {
namespace {

long read_us(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return now.tv_sec * 1'000'000L + now.tv_nsec / 1000;
}

}  // namespace

long Clock::true_ms() const { return read_us(CLOCK_REALTIME) / 1000 + advanced_ms_; }

long Clock::wall_us() const {
  return read_us(CLOCK_REALTIME) + (advanced_ms_ + stepped_ms_) * 1000;
}

long Clock::mono_us() const { return read_us(CLOCK_MONOTONIC) + (advanced_ms_ + mono_ms_) * 1000; }

long Clock::server_ms() const { return true_ms() + zone_s_ * 1000; }

Clock &clock() {
  static Clock one;
  return one;
}

long thread_cpu_us() { return read_us(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace terminal
