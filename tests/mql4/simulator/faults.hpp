// What a test wants to go wrong: scripted broker answers, slow calls, full disks, sudden death.
#pragma once
#include <deque>
#include <map>
#include <string>

namespace terminal {

// One scripted answer to one broker call.
struct Fault {
  enum class Kind { pass, refuse, executed_but, late } kind = Kind::pass;
  int error = 0;     // what the EA is told
  long late_ms = 0;  // late: executed so long after the call returned
};

// `ok`, `138` refused, `128x` executed but told 128, `128@500` told 128 and executed 500 ms later.
bool parse_fault(const std::string &word, Fault &fault);

enum class Moment { before, inside, after };

struct Disk {
  bool full = false;
  long bytes_left = 0;       // full: so many more bytes fit
  bool flush_fails = false;  // what was buffered is lost
  bool writes_fail = false;  // not even the buffer takes anything
  long tear_at = -1;         // the next flush writes so many bytes, then the process dies
};

class Faults {
 public:
  void script(const std::string &call, const Fault &fault) { scripted_[call].push_back(fault); }
  Fault next(const std::string &call);

  void slow(const std::string &call, long ms, long count) { slow_[call] = {ms, count}; }
  long next_delay_ms(const std::string &call);

  // The k-th time from now that `call` reaches this moment, the process dies by SIGKILL.
  void die(const std::string &call, Moment moment, long k) { doom_[{call, moment}] = k; }
  void reach(const std::string &call, Moment moment);

  Disk disk;

 private:
  struct Slow {
    long ms = 0;
    long count = 0;
  };
  std::map<std::string, std::deque<Fault>> scripted_;
  std::map<std::string, Slow> slow_;
  std::map<std::pair<std::string, Moment>, long> doom_;
};

Faults &faults();

[[noreturn]] void die_now();

}  // namespace terminal
