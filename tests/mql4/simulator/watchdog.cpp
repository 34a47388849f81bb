#include "watchdog.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "pump.hpp"
#include "report.hpp"

namespace terminal {
namespace {

constexpr int HUNG = 4;  // exit code
constexpr auto LOOK = std::chrono::milliseconds(100);

std::atomic<long> deadline_us{0};
std::atomic<const char *> what{""};

void look_for_ever() {
  for (;;) {
    std::this_thread::sleep_for(LOOK);
    const long deadline = deadline_us;
    if (deadline == 0 || real_us() < deadline) continue;
    violation(std::string(what) + " hangs: the terminal would freeze");
    _exit(HUNG);
  }
}

}  // namespace

void arm_watchdog(const char *handler, long seconds) {
  static std::thread thread(look_for_ever);
  if (thread.joinable()) thread.detach();
  what = handler;
  deadline_us = real_us() + seconds * 1'000'000;
}

void disarm_watchdog() { deadline_us = 0; }

void give_watchdog(long ms) {
  if (deadline_us != 0) deadline_us += ms * 1000;
}

}  // namespace terminal
