#include "faults.hpp"

#include <csignal>
#include <cstdlib>
#include <unistd.h>

namespace terminal {

bool parse_fault(const std::string &word, Fault &fault) {
  fault = Fault{};
  if (word == "ok") return true;
  char *rest = nullptr;
  fault.error = static_cast<int>(std::strtol(word.c_str(), &rest, 10));
  if (rest == word.c_str() || fault.error <= 0) return false;
  const std::string tail = rest;
  if (tail.empty()) {
    fault.kind = Fault::Kind::refuse;
    return true;
  }
  if (tail == "x") {
    fault.kind = Fault::Kind::executed_but;
    return true;
  }
  if (tail[0] != '@') return false;
  fault.kind = Fault::Kind::late;
  fault.late_ms = std::strtol(tail.c_str() + 1, &rest, 10);
  return *rest == 0 && fault.late_ms > 0;
}

Fault Faults::next(const std::string &call) {
  std::deque<Fault> &queue = scripted_[call];
  if (queue.empty()) return Fault{};
  const Fault fault = queue.front();
  queue.pop_front();
  return fault;
}

long Faults::next_delay_ms(const std::string &call) {
  const auto found = slow_.find(call);
  if (found == slow_.end() || found->second.count == 0) return 0;
  if (found->second.count > 0) --found->second.count;
  return found->second.ms;
}

void Faults::reach(const std::string &call, Moment moment) {
  const auto found = doom_.find({call, moment});
  if (found == doom_.end()) return;
  if (--found->second <= 0) die_now();
}

Faults &faults() {
  static Faults one;
  return one;
}

void die_now() {
  // The whole terminal process goes, as when Windows ends it: no handler, no buffer, no goodbye.
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

}  // namespace terminal
