// What happens to orders without anybody's call: quotes, stops, pendings, expiry, stop-out.
//
// docs.mql4.com/constants/tradingconstants/orderproperties (pendings), common observation for the
// comments `[sl]`, `[tp]`, `so: …` and `expiration [...]`, which no page documents.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "broker.hpp"
#include "clock.hpp"

namespace terminal {
namespace {

constexpr size_t COMMENT_CHARS = 31;

std::string marked(const std::string &comment, const std::string &mark) {
  return comment.substr(0, COMMENT_CHARS - mark.size()) + mark;
}

bool fires(const Order &order, const SymbolTerms &terms) {
  switch (order.type) {
    case BUY_LIMIT: return terms.ask <= order.open_price;
    case BUY_STOP: return terms.ask >= order.open_price;
    case SELL_LIMIT: return terms.bid >= order.open_price;
    case SELL_STOP: return terms.bid <= order.open_price;
    default: return false;
  }
}

}  // namespace

void Broker::quote(const std::string &name, double bid, double ask) {
  SymbolTerms *terms = symbol(name);
  if (terms == nullptr) return;
  terms->bid = terms->on_grid(bid);
  terms->ask = terms->on_grid(ask);
  terms->quote_s = now_s();
  if (flags["connected"]) {
    terms->see();
    last_quote_s_ = terms->seen_s;
  }
  if (!flags["market_open"]) return;
  trigger(*terms);
  stop_out();
  log_changes(0);
}

void Broker::trigger(SymbolTerms &terms) {
  std::vector<int> tickets;
  for (const Order *order : open_orders())
    if (order->symbol == terms.name) tickets.push_back(order->ticket);
  for (const int ticket : tickets) {
    Order &order = book_.at(ticket);
    if (is_pending(order.type) && fires(order, terms)) {
      touch(order);
      const bool limit = order.type == BUY_LIMIT || order.type == SELL_LIMIT;
      order.type = is_long(order.type) ? BUY : SELL;
      // A limit is filled at its price, a stop at what the market gives.
      if (!limit) order.open_price = is_long(order.type) ? terms.ask : terms.bid;
      order.open_s = now_s();
      order.expiration_s = 0;
      order.commission = -terms.commission * order.lots;
    }
    if (is_position(order.type)) hit_stops(order, terms);
  }
}

void Broker::hit_stops(Order &order, SymbolTerms &terms) {
  const double price = is_long(order.type) ? terms.bid : terms.ask;
  const int up = is_long(order.type) ? 1 : -1;
  // After a gap a stop loss gets the first price there is, a take profit its own.
  if (order.sl > 0 && up * (price - order.sl) <= 0)
    settle(order, order.lots, price, marked(order.comment, "[sl]"));
  else if (order.tp > 0 && up * (order.tp - price) <= 0)
    settle(order, order.lots, order.tp, marked(order.comment, "[tp]"));
}

void Broker::stop_out() {
  for (;;) {
    const double used = margin();
    if (used <= 0 || equity() / used * 100 >= account.stop_out_percent) return;
    int worst = 0;
    double lowest = 0;
    for (const Order *order : open_orders()) {
      if (!is_position(order->type)) continue;
      const double profit = floating_profit(*order);
      if (worst == 0 || profit < lowest) {
        worst = order->ticket;
        lowest = profit;
      }
    }
    char comment[64];
    std::snprintf(comment, sizeof comment, "so: %.1f%%/%.1f/%.1f", equity() / used * 100, equity(),
                  used);
    Order &order = book_.at(worst);
    settle(order, order.lots, current_price(order), comment);
  }
}

void Broker::expire() {
  for (auto &[ticket, order] : book_) {
    if (order.close_s || !is_pending(order.type) || !order.expiration_s) continue;
    if (order.account != account.number || order.expiration_s > now_s()) continue;
    const time_t when = order.expiration_s;
    char comment[64];
    std::strftime(comment, sizeof comment, "expiration [%Y.%m.%d %H:%M]", gmtime(&when));
    settle(order, order.lots, current_price(order), comment);
  }
}

void Broker::pass_time() {
  expire();
  log_changes(0);
  execute_late();
}

void Broker::execute_late() {
  std::vector<Late> due;
  const auto ready = [](const Late &late) { return late.due_server_ms <= clock().server_ms(); };
  std::copy_if(late_.begin(), late_.end(), std::back_inserter(due), ready);
  late_.erase(std::remove_if(late_.begin(), late_.end(), ready), late_.end());
  for (const Late &late : due) finish_call(late.call, late.n, execute(late.call));
}

}  // namespace terminal
