// Commands: what goes wrong.
#include <stdexcept>

#include "broker.hpp"
#include "host.hpp"
#include "clock.hpp"
#include "control.hpp"
#include "faults.hpp"
#include "zmq_handles.hpp"

namespace terminal {
namespace {

Json fail(const Words &words) {
  for (size_t i = 2; i < words.size(); ++i) {
    Fault fault;
    if (!parse_fault(words[i], fault)) throw std::invalid_argument("no fault: " + words[i]);
    faults().script(words[1], fault);
  }
  return {};
}

Json slow(const Words &words) {
  faults().slow(words[1], to_integer(words[2]), words.size() > 3 ? to_integer(words[3]) : 1);
  return {};
}

Json die(const Words &words) {
  // `die CALL K` is `die CALL inside K`: done, and the call did not return.
  const bool bare = words[2].find_first_not_of("0123456789") == std::string::npos;
  const std::string when = bare ? "inside" : words[2];
  if (when != "before" && when != "inside" && when != "after")
    throw std::invalid_argument("no moment: " + when);
  const Moment moment = when == "before"   ? Moment::before
                        : when == "inside" ? Moment::inside
                                           : Moment::after;
  const long k = bare ? to_integer(words[2]) : words.size() > 3 ? to_integer(words[3]) : 1;
  faults().die(words[1], moment, k);
  return {};
}

Json tear(const Words &words) {
  faults().disk.tear_at = to_integer(words[1]);
  return {};
}

Json disk(const Words &words) {
  Disk &state = faults().disk;
  state = Disk{};
  if (words[1] == "full") {
    state.full = true;
    state.bytes_left = words.size() > 2 ? to_integer(words[2]) : 0;
  } else if (words[1] == "flush") {
    state.flush_fails = true;
  } else if (words[1] == "write") {
    state.writes_fail = true;
  } else if (words[1] != "ok") {
    throw std::invalid_argument("no state of a disk: " + words[1]);
  }
  return {};
}

Json flag(const Words &words) {
  auto &on = broker().flags.on;
  const auto found = on.find(words[1]);
  if (found == on.end()) throw std::invalid_argument("no flag " + words[1]);
  if (words[1] == "connected")
    broker().set_connected(to_flag(words[2]));
  else
    found->second = to_flag(words[2]);
  return {};
}

Json market_open(const Words &words) {
  broker().flags.on["market_open"] = to_flag(words[1]);
  return {};
}

Json busy(const Words &words) {
  broker().busy_until_us = clock().mono_us() + to_integer(words[1]) * 1000;
  return {};
}

Json part(const Words &words) {
  broker().fills_lots = to_real(words[1]);
  return {};
}

Json dll(const Words &words) {
  ZmqLibrary &library = zmq_library();
  if (words[1] == "version" && words.size() == 5) {
    library.major = static_cast<int>(to_integer(words[2]));
    library.minor = static_cast<int>(to_integer(words[3]));
    library.patch = static_cast<int>(to_integer(words[4]));
  } else if (words[1] == "curve" && words.size() == 3) {
    library.curve = to_flag(words[2]);
  } else if (words[1] == "missing" && words.size() == 3) {
    host::lose_libraries(to_flag(words[2]));
  } else {
    throw std::invalid_argument("no property of the DLL: " + words[1]);
  }
  return {};
}

}  // namespace

const Commands &fault_commands() {
  static const Commands table = {
      {"fail", {fail, 3, 100, "fail CALL CODE|CODEx|CODE@MS|ok ..."}},
      {"slow", {slow, 3, 4, "slow CALL MS [COUNT=1, -1 = always]"}},
      {"die", {die, 3, 4, "die CALL [before|inside|after] [K=1]"}},
      {"tear", {tear, 2, 2, "tear BYTES: the next flush writes so many and the process dies"}},
      {"disk", {disk, 2, 3, "disk full [BYTES_LEFT] | disk flush | disk write | disk ok"}},
      {"flag", {flag, 3, 3, "flag NAME 0|1"}},
      {"market_open", {market_open, 2, 2, "market_open 0|1"}},
      {"busy", {busy, 2, 2, "busy MS: the trade context is taken"}},
      {"part", {part, 2, 2, "part LOTS: the next market order fills only so much"}},
      {"dll", {dll, 3, 5, "dll version A B C | dll curve 0|1 | dll missing 0|1"}},
  };
  return table;
}

}  // namespace terminal
