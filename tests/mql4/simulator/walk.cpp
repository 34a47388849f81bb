#include "walk.hpp"

#include <algorithm>

#include "broker.hpp"
#include "program.hpp"
#include "pump.hpp"

namespace terminal {
namespace {

constexpr long FAR_US = 1'000'000;
constexpr int LARGEST_STEP_POINTS = 3;

}  // namespace

void Walks::start(const std::string &symbol, unsigned seed, long period_ms) {
  walks_[symbol] = Walk{std::mt19937(seed), period_ms * 1000, real_us() + period_ms * 1000};
}

long Walks::due_in_us() const {
  long least = FAR_US;
  for (const auto &[name, walk] : walks_) least = std::min(least, walk.next_us - real_us());
  return std::max(0L, least);
}

void Walks::step() {
  for (auto &[name, walk] : walks_) {
    const SymbolTerms *terms = broker().symbol(name);
    if (terms == nullptr || real_us() < walk.next_us) continue;
    walk.next_us = real_us() + walk.period_us;
    const int span = 2 * LARGEST_STEP_POINTS + 1;
    const int points = static_cast<int>(walk.random() % span) - LARGEST_STEP_POINTS;
    const double move = points * terms->point();
    new_quote(name, terms->bid + move, terms->ask + move);
  }
}

Walks &walks() {
  static Walks one;
  return one;
}

void new_quote(const std::string &symbol, double bid, double ask) {
  broker().quote(symbol, bid, ask);
  const bool arrives = broker().flags["connected"];
  if (arrives && program().chart() == symbol) program().queue_tick();
}

}  // namespace terminal
