#include "pump.hpp"

#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <cerrno>

#include "broker.hpp"
#include "clock.hpp"
#include "control.hpp"
#include "program.hpp"
#include "walk.hpp"
#include "watchdog.hpp"

namespace terminal {
namespace {

constexpr long LONGEST_NAP_US = 20'000;  // late executions and expiries are looked at so often

struct Stopwatch {
  long cpu_at_start = 0;
  long cpu_waiting = 0;
  long waited = 0;
  long slept = 0;
  bool excused = false;  // in a broker call or in Sleep
};
Stopwatch watch;
long last_message_us = 0;

// One nap: until the socket or standard input can be read, or the time is over.
bool nap(long us, void *socket) {
  zmq_pollitem_t items[2] = {{nullptr, STDIN_FILENO, ZMQ_POLLIN, 0}, {socket, 0, ZMQ_POLLIN, 0}};
  if (control().closed()) items[0].events = 0;  // its end can be read for ever
  const long ms = us <= 0 ? 0 : (us + 999) / 1000;
  if (zmq_poll(items, socket ? 2 : 1, ms) < 0 && errno != EINTR) return false;
  if (items[0].revents) control().read_input();
  return socket != nullptr && (items[1].revents & ZMQ_POLLIN);
}

}  // namespace

long real_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000L + now.tv_nsec / 1000;
}

bool work_is_waiting() { return control().has_deferred(); }

bool wait_until(long until_us, void *socket) {
  const long began = real_us();
  const long cpu = thread_cpu_us();
  bool readable = false;
  for (;;) {
    const long left = until_us - real_us();
    readable = nap(std::min({left, LONGEST_NAP_US, walks().due_in_us()}), socket);
    walks().step();
    broker().pass_time();
    if (readable || left <= 0) break;
    if (socket != nullptr && work_is_waiting()) break;
  }
  watch.cpu_waiting += thread_cpu_us() - cpu;
  // Not longer than was asked for: a crowded machine is not the program's doing.
  if (!watch.excused) watch.waited += std::min(real_us(), std::max(until_us, began)) - began;
  return readable;
}

void wait_for_event() {
  for (;;) {
    const long left = program().next_event_us() - real_us();
    if (left <= 0 || work_is_waiting()) return;
    nap(std::min({left, LONGEST_NAP_US, walks().due_in_us()}), nullptr);
    walks().step();
    broker().pass_time();
  }
}

void wait_for_broker(long ms) {
  if (ms <= 0) return;
  give_watchdog(ms);
  watch.excused = true;
  wait_until(real_us() + ms * 1000, nullptr);
  watch.excused = false;
}

void wait_in_sleep(long ms) {
  watch.slept += ms * 1000;
  wait_for_broker(ms);
}

void start_stopwatch() {
  watch = Stopwatch{};
  watch.cpu_at_start = thread_cpu_us();
}

long slept_us() { return watch.slept; }

void message_began() { last_message_us = real_us(); }

long message_us() { return last_message_us; }

long stopwatch_us(long slower) {
  return (thread_cpu_us() - watch.cpu_at_start - watch.cpu_waiting) / slower + watch.waited;
}

}  // namespace terminal
