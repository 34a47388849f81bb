// Prices that walk by themselves: a seeded random walk of whole points, the same for the same seed.
#pragma once
#include <map>
#include <random>
#include <string>

namespace terminal {

class Walks {
 public:
  void start(const std::string &symbol, unsigned seed, long period_ms);
  void stop(const std::string &symbol) { walks_.erase(symbol); }
  long due_in_us() const;
  void step();  // every quote that is due

 private:
  struct Walk {
    std::mt19937 random;
    long period_us = 0;
    long next_us = 0;
  };
  std::map<std::string, Walk> walks_;
};

Walks &walks();

// A new quote: the broker first, then the program's OnTick if it is the chart's symbol.
void new_quote(const std::string &symbol, double bid, double ask);

}  // namespace terminal
