// One terminal with one program attached: waits for events and commands, and runs them in turn.
#include <csignal>
#include <exception>

#include "control.hpp"
#include "host.hpp"
#include "program.hpp"
#include "pump.hpp"
#include "report.hpp"

namespace {

constexpr int UNCLEAN = 3;
constexpr int BROKEN = 5;

void run() {
  using namespace terminal;
  program().load();
  report("ready");
  while (!control().closed()) {
    control().run_deferred();
    if (control().closed()) break;
    program().run_due_events();
    if (!control().has_deferred()) wait_for_event();
  }
}

}  // namespace

#ifdef __SANITIZE_ADDRESS__
// A program never holds one of libzmq's messages (zmq_send and zmq_recv copy), and what it opened
// is counted by itself (zmq_handles). What is left over is libzmq's own: a frame of a connection
// that broke off in the middle of a message.
extern "C" const char *__lsan_default_suppressions() { return "leak:libzmq.so"; }
#endif

int main() {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    run();
  } catch (const std::exception &error) {
    terminal::violation(std::string("the terminal itself failed: ") + error.what());
    return BROKEN;
  }
  return terminal::violations() ? UNCLEAN : 0;
}
