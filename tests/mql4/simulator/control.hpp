// The control protocol: commands in on standard input, one a line; one `reply` out for each.
//
// A line is words between single spaces, each percent-encoded. What must not happen inside a
// handler (init, stop, reinit…) is deferred until the handler has returned, and everything after it
// waits too. A reply is {"event":"reply","ok":true,…} or {"event":"reply","ok":false,"error":"…"}.
#pragma once
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "json.hpp"

namespace terminal {

using Words = std::vector<std::string>;

struct Command {
  Json (*run)(const Words &words);  // words[0] is the command's name; throws std::exception
  size_t least;                     // words, the name included
  size_t most;
  const char *usage;
  bool deferred = false;
};

using Commands = std::map<std::string, Command>;
const Commands &market_commands();
const Commands &account_commands();
const Commands &fault_commands();
const Commands &lifecycle_commands();

// Strict readers of words; throw std::invalid_argument.
long to_integer(const std::string &word);
double to_real(const std::string &word);
bool to_flag(const std::string &word);

class Control {
 public:
  void read_input();  // never blocks; runs what may run now
  void run_deferred();
  bool has_deferred() const { return !deferred_.empty(); }
  bool closed() const { return closed_; }
  void close() { closed_ = true; }

 private:
  std::string buffer_;
  std::deque<std::string> deferred_;
  bool closed_ = false;

  void take(const std::string &line);
};

Control &control();

}  // namespace terminal
