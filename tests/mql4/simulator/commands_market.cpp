// Commands: prices, clocks, and a person's own acts in the terminal.
#include <cmath>
#include <stdexcept>

#include "broker.hpp"
#include "clock.hpp"
#include "control.hpp"
#include "program.hpp"
#include "walk.hpp"

namespace terminal {
namespace {

SymbolTerms &known_symbol(const std::string &name) {
  SymbolTerms *terms = broker().symbol(name);
  if (terms == nullptr) throw std::invalid_argument("no symbol " + name);
  return *terms;
}

Order &open_order(const std::string &ticket) {
  Order *order = broker().find(static_cast<int>(to_integer(ticket)));
  if (order == nullptr || order->close_s) throw std::invalid_argument("no open order " + ticket);
  return *order;
}

Json price(const Words &words) {
  known_symbol(words[1]);
  new_quote(words[1], to_real(words[2]), to_real(words[3]));
  return {};
}

Json walk(const Words &words) {
  known_symbol(words[1]);
  const long period = to_integer(words[3]);
  if (period > 0)
    walks().start(words[1], static_cast<unsigned>(to_integer(words[2])), period);
  else
    walks().stop(words[1]);
  return {};
}

Json tick(const Words &) {
  program().queue_tick();
  return {};
}

Json advance(const Words &words) {
  clock().advance(to_integer(words[1]));
  broker().pass_time();
  return {};
}

Json step_wall(const Words &words) {
  clock().step_wall(to_integer(words[1]));
  return {};
}

Json step_mono(const Words &words) {
  clock().step_mono(to_integer(words[1]));
  return {};
}

Json by_hand(const Call &call) {
  const Answer answer = broker().by_hand(call);
  if (answer.error) throw std::runtime_error("error " + std::to_string(answer.error));
  return Json().integer("ticket", answer.ticket);
}

Json manual_open(const Words &words) {
  Call call;
  call.name = "OrderSend";
  call.symbol = words[1];
  call.type = type_of(words[2]);
  if (call.type < BUY || call.type > SELL_STOP) throw std::invalid_argument("no type " + words[2]);
  const SymbolTerms &terms = known_symbol(words[1]);
  call.lots = to_real(words[3]);
  call.price = is_long(call.type) ? terms.ask : terms.bid;
  if (words.size() > 4 && is_pending(call.type)) call.price = to_real(words[4]);
  if (words.size() > 5) call.sl = to_real(words[5]);
  if (words.size() > 6) call.tp = to_real(words[6]);
  return by_hand(call);
}

Json manual_close(const Words &words) {
  const Order &order = open_order(words[1]);
  Call call;
  call.name = "OrderClose";
  call.ticket = order.ticket;
  call.lots = words.size() > 2 ? to_real(words[2]) : order.lots;
  call.price = broker().current_price(order);
  return by_hand(call);
}

Json manual_modify(const Words &words) {
  const Order &order = open_order(words[1]);
  Call call;
  call.name = "OrderModify";
  call.ticket = order.ticket;
  call.sl = to_real(words[2]);
  call.tp = to_real(words[3]);
  call.price = words.size() > 4 ? to_real(words[4]) : order.open_price;
  call.expiration_s = order.expiration_s;
  return by_hand(call);
}

Json manual_delete(const Words &words) {
  Call call;
  call.name = "OrderDelete";
  call.ticket = open_order(words[1]).ticket;
  return by_hand(call);
}

}  // namespace

const Commands &market_commands() {
  static const Commands table = {
      {"price", {price, 4, 4, "price SYMBOL BID ASK"}},
      {"walk", {walk, 4, 4, "walk SYMBOL SEED PERIOD_MS (0 stops)"}},
      {"tick", {tick, 1, 1, "tick"}},
      {"advance", {advance, 2, 2, "advance MS: every clock, the broker's too"}},
      {"step_wall", {step_wall, 2, 2, "step_wall MS: the PC's wall clock only"}},
      {"step_mono", {step_mono, 2, 2, "step_mono MS: GetTickCount only (it wraps at 2^32)"}},
      {"manual_open", {manual_open, 4, 7, "manual_open SYMBOL TYPE LOTS [PRICE SL TP]"}},
      {"manual_close", {manual_close, 2, 3, "manual_close TICKET [LOTS]"}},
      {"manual_modify", {manual_modify, 4, 5, "manual_modify TICKET SL TP [PRICE]"}},
      {"manual_delete", {manual_delete, 2, 2, "manual_delete TICKET"}},
  };
  return table;
}

}  // namespace terminal
