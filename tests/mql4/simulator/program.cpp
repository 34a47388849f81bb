#include "program.hpp"

#include <algorithm>
#include <cstdlib>
#include <string>

#include "host.hpp"
#include "pump.hpp"
#include "report.hpp"
#include "runtime/base.hpp"
#include "watchdog.hpp"
#include "zmq_handles.hpp"

namespace terminal {
namespace {

constexpr long HANDLER_MS = 300;     // longer, and the chart's other events are late
// The sanitizers make a program several times slower; what is meant is the program itself.
constexpr long SANITIZED = 5;
constexpr long SLEEP_MS = 3'000;     // in one handler, to wait for the trade context
constexpr long INIT_MS = 5'000;      // docs.mql4.com/runtime/running waits as long for data
constexpr long DEINIT_MS = 2'500;    // docs.mql4.com/runtime/event_fire: then it is killed
constexpr long HANG_S = 60;          // generous: sanitizers and busy machines
constexpr long FAR_US = 3'600'000'000L;

long slower() {
  // Only the driver of a sanitized build sets it (tests/mql4/terminal.py).
  static const bool sanitized = std::getenv("ASAN_OPTIONS") != nullptr;
  return sanitized ? SANITIZED : 1;
}

}  // namespace

Program &program() {
  static Program one;
  return one;
}

void Program::load() { mql_hooks(hooks_); }

bool Program::stopping() const { return ending_ || removed_ || work_is_waiting(); }

template <class Handler>
bool Program::guarded(const char *name, long longest_ms, const Handler &handler) {
  host::begin_event();
  start_stopwatch();
  arm_watchdog(name, HANG_S);
  bool alive = true;
  try {
    handler();
  } catch (const MqlCritical &error) {
    alive = running_ = false;
    period_us_ = 0;
    report("critical", Json().text("text", error.what).text("handler", name));
  }
  disarm_watchdog();
  const long ms = stopwatch_us(slower()) / 1000;
  if (ms > longest_ms)
    violation(std::string(name) + " was busy for " + std::to_string(ms) + " ms, more than " +
              std::to_string(longest_ms));
  if (slept_us() > SLEEP_MS * 1000)
    violation(std::string(name) + " slept " + std::to_string(slept_us() / 1000) + " ms");
  return alive;
}

int Program::init() {
  ending_ = removed_ = tick_waits_ = false;
  running_ = true;
  int code = 0;
  if (!host::libraries_load()) {
    running_ = false;
    return -1;
  }
  const bool alive = guarded("OnInit", INIT_MS, [&] {
    if (hooks_.OnStart) hooks_.OnStart();
    if (hooks_.OnInit) code = hooks_.OnInit();
  });
  if (!alive) return -1;
  if (hooks_.OnStart) {
    running_ = false;
    check_leaks();
  } else if (code != 0) {
    deinit(REASON_OF_INIT_FAILED);
  }
  return code;
}

void Program::deinit(int reason) {
  if (!running_) return;
  ending_ = true;
  reason_ = reason;
  const bool alive = guarded("OnDeinit", DEINIT_MS, [&] {
    if (hooks_.OnDeinit) hooks_.OnDeinit(reason);
  });
  if (slept_us() / 1000 > DEINIT_MS) violation("OnDeinit slept longer than a terminal waits");
  running_ = false;
  period_us_ = 0;  // docs.mql4.com/eventfunctions/eventkilltimer: the timer goes with the program
  if (alive) check_leaks();
  report("deinit", Json().integer("reason", reason));
}

void Program::check_leaks() const {
  for (const std::string &leak : zmq_leaks())
    violation(leak + " left open at the end: the terminal would hang or crash on unload");
  for (const std::string &file : host::open_files())
    violation("file left open at the end: " + file);
}

void Program::set_timer(long ms) {
  const long wanted = std::max(ms * 1000, granularity_us_);
  period_us_ = (wanted + granularity_us_ - 1) / granularity_us_ * granularity_us_;
  next_timer_us_ = real_us() + period_us_;
}

long Program::next_event_us() const {
  if (!running_) return real_us() + FAR_US;
  if (tick_waits_) return real_us();
  return period_us_ ? next_timer_us_ : real_us() + FAR_US;
}

void Program::run_due_events() {
  if (running_ && period_us_ && real_us() >= next_timer_us_) {
    if (hooks_.OnTimer) guarded("OnTimer", HANDLER_MS, [&] { hooks_.OnTimer(); });
    // What fell due meanwhile is lost: the next event comes at the next beat of the timer.
    if (period_us_) {
      const long late = std::max(0L, real_us() - next_timer_us_);
      next_timer_us_ += (late / period_us_ + 1) * period_us_;
    }
  }
  if (running_ && tick_waits_) {
    if (hooks_.OnTick) guarded("OnTick", HANDLER_MS, [&] { hooks_.OnTick(); });
    tick_waits_ = false;  // a quote that came during OnTick queued nothing
  }
  if (running_ && removed_) deinit(REASON_OF_PROGRAM);
}

}  // namespace terminal
