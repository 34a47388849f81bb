// broker.jsonl: what the broker was made to do, and its book. Survives the terminal's death.
//
// One JSON object a line; the members are those of the paper ledger (protocol.md 13), so that the
// same judges read it: v, phase, n, wall_ms, market_ms, op, magic, comment, deadline_wall_ms (0:
// MetaTrader 4 knows none), fields, result. Further members here: pc_ms (what the PC believed),
// mono_ms; of a begin: message_us, call_us (pump.hpp: the message's first frame, the call, on the
// machine's monotonic clock). Phases: start | begin (a program's call) | end (what the broker truly
// did of it) | late (it will be done later) | return (what the program was told) | state (rows of
// the book that changed, and the balance; n = 0 where no program asked for it).
#pragma once
#include <string>

#include "json.hpp"

namespace terminal {

// One call as the ledger shows it.
struct Entry {
  const char *phase = "begin";
  long n = 0;
  std::string op;
  int magic = 0;
  std::string comment;
};

class Ledger {
 public:
  void open(const std::string &path);  // throws std::runtime_error
  long next() { return ++n_; }
  long last() const { return n_; }
  void set_last(long n) { n_ = n; }
  // Adds a line; nothing reaches the file before `flush`, so what belongs together dies together.
  void add(const Entry &entry, const Json &fields, const Json &result, const Json &more = {});
  void flush();

 private:
  int fd_ = -1;
  long n_ = 0;
  std::string pending_;
};

// A price or volume as text: at most eight decimals, no trailing zeros, never an exponent.
std::string decimal(double value);

}  // namespace terminal
