#include "report.hpp"

#include <atomic>
#include <cerrno>
#include <unistd.h>

namespace terminal {
namespace {

std::atomic<int> violation_count{0};

void write_all(const std::string &line) {
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t wrote = write(STDOUT_FILENO, line.data() + done, line.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return;  // the driver is gone, and standard input will say so
    done += static_cast<size_t>(wrote);
  }
}

}  // namespace

void report(const std::string &event, const Json &members) {
  std::string rest = members.done().substr(1);
  if (rest != "}") rest = ',' + rest;
  write_all("{\"event\":" + json_text(event) + rest + '\n');
}

void violation(const std::string &what) {
  ++violation_count;
  report("violation", Json().text("text", what));
}

int violations() { return violation_count; }

}  // namespace terminal
