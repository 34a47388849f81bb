// The server's own decisions: a new order, its change, its closing, its deletion.
//
// Error numbers: docs.mql4.com/constants/errorswarnings/errorcodes. Rules: docs.mql4.com/trading/
// ordersend, ordermodify, orderclose, orderdelete.
#include <algorithm>
#include <cmath>

#include "broker.hpp"
#include "clock.hpp"

namespace terminal {
namespace {

constexpr int NO_RESULT = 1;
constexpr int INVALID_PRICE = 129;
constexpr int INVALID_STOPS = 130;
constexpr int INVALID_VOLUME = 131;
constexpr int MARKET_CLOSED = 132;
constexpr int TRADE_DISABLED = 133;
constexpr int NOT_ENOUGH_MONEY = 134;
constexpr int OFF_QUOTES = 136;
constexpr int REQUOTE = 138;
constexpr int EXPIRATION_DENIED = 147;
constexpr int UNNORMALIZED = 4107;
constexpr int INVALID_TICKET = 4108;
// A pending order lives at least ten minutes: common observation, not documented.
constexpr long LEAST_LIFE_S = 600;
// Farther away than this no price of the last minutes lies: 129, not a requote (138).
constexpr long STALE_POINTS = 1000;

// Instant execution: the price asked for against the market; 0, 138, 129 or 4107.
int check_market_price(const SymbolTerms &terms, double price, int slippage, double market) {
  if (terms.market_execution) return 0;
  if (!terms.is_normalized(price)) return UNNORMALIZED;
  const long away = std::labs(std::lround((price - market) / terms.point()));
  if (away <= slippage) return 0;
  return away > STALE_POINTS ? INVALID_PRICE : REQUOTE;
}

}  // namespace

int Broker::refuse_entry(const Call &call, const SymbolTerms &terms) {
  if (!terms.trade_allowed) return TRADE_DISABLED;
  if (const int error = check_lots(terms, call.lots)) return error;
  if (is_position(call.type)) {
    const double market = is_long(call.type) ? terms.ask : terms.bid;
    if (const int error = check_market_price(terms, call.price, call.slippage, market))
      return error;
    if (terms.market_execution && (call.sl > 0 || call.tp > 0)) return INVALID_STOPS;
    const double closing = is_long(call.type) ? terms.bid : terms.ask;
    if (const int error = check_stops(terms, call.type, closing, call.sl, call.tp)) return error;
  } else {
    if (const int error = check_pending_price(terms, call.type, call.price)) return error;
    if (const int error = check_stops(terms, call.type, call.price, call.sl, call.tp))
      return error;
    if (call.expiration_s && !flags["expiration"]) return EXPIRATION_DENIED;
    if (call.expiration_s && call.expiration_s - now_s() < LEAST_LIFE_S) return EXPIRATION_DENIED;
  }
  if (is_position(call.type) && equity() - margin() < margin_of(terms, call.lots))
    return NOT_ENOUGH_MONEY;
  return 0;
}

Answer Broker::open_order(const Call &call) {
  SymbolTerms &terms = *symbol(call.symbol);
  if (const int error = refuse_entry(call, terms)) return {error, -1};
  Order order;
  order.ticket = ++next_ticket_;
  order.account = account.number;
  order.symbol = terms.name;
  order.type = call.type;
  order.lots = call.lots;
  if (is_position(call.type) && fills_lots > 0) {
    order.lots = std::min(order.lots, fills_lots);
    fills_lots = 0;
  }
  order.open_price = is_position(call.type) ? (is_long(call.type) ? terms.ask : terms.bid)
                                            : terms.on_grid(call.price);
  order.sl = call.sl;
  order.tp = call.tp;
  order.commission = is_position(call.type) ? -terms.commission * order.lots : 0;
  order.open_s = now_s();
  order.expiration_s = is_pending(call.type) ? call.expiration_s : 0;
  order.magic = call.magic;
  order.comment = call.comment;
  touch(book_[order.ticket] = order);
  return {0, order.ticket};
}

Answer Broker::modify_order(const Call &call) {
  Order *order = find(call.ticket);
  if (order == nullptr || order->close_s || order->type > SELL_STOP) return {INVALID_TICKET, -1};
  SymbolTerms &terms = *symbol(order->symbol);
  const bool pending = is_pending(order->type);
  const double price = pending ? call.price : order->open_price;
  const bool same = order->sl == call.sl && order->tp == call.tp &&
                    (!pending || (order->open_price == price &&
                                  order->expiration_s == call.expiration_s));
  if (same) return {NO_RESULT, -1};
  if (const int error = check_freeze(terms, *order)) return {error, -1};
  double reference = is_long(order->type) ? terms.bid : terms.ask;
  if (pending) {
    if (const int error = check_pending_price(terms, order->type, price)) return {error, -1};
    const bool new_life = call.expiration_s != order->expiration_s && call.expiration_s;
    if (new_life && (!flags["expiration"] || call.expiration_s - now_s() < LEAST_LIFE_S))
      return {EXPIRATION_DENIED, -1};
    reference = price;
  }
  if (const int error = check_stops(terms, order->type, reference, call.sl, call.tp))
    return {error, -1};
  touch(*order);
  order->sl = call.sl;
  order->tp = call.tp;
  if (pending) {
    order->open_price = terms.on_grid(price);
    order->expiration_s = call.expiration_s;
  }
  return {0, order->ticket};
}

Answer Broker::close_order(const Call &call) {
  Order *order = find(call.ticket);
  if (order == nullptr || order->close_s || !is_position(order->type))
    return {INVALID_TICKET, -1};
  SymbolTerms &terms = *symbol(order->symbol);
  if (const int error = check_lots(terms, call.lots)) return {error, -1};
  if (call.lots > order->lots + 1e-9) return {INVALID_VOLUME, -1};
  const double market = is_long(order->type) ? terms.bid : terms.ask;
  if (const int error = check_market_price(terms, call.price, call.slippage, market))
    return {error, -1};
  if (const int error = check_freeze(terms, *order)) return {error, -1};
  if (call.lots < order->lots - 1e-9) split(*order, call.lots);
  settle(*order, call.lots, market, order->comment);
  return {0, order->ticket};
}

Answer Broker::delete_order(const Call &call) {
  Order *order = find(call.ticket);
  if (order == nullptr || order->close_s || !is_pending(order->type)) return {INVALID_TICKET, -1};
  SymbolTerms &terms = *symbol(order->symbol);
  if (const int error = check_freeze(terms, *order)) return {error, -1};
  settle(*order, order->lots, is_long(order->type) ? terms.ask : terms.bid, order->comment);
  return {0, order->ticket};
}

Answer Broker::execute(const Call &call) {
  const Order *order = find(call.ticket);
  SymbolTerms *terms = symbol(call.name == "OrderSend" ? call.symbol : order ? order->symbol : "");
  if (call.name != "OrderSend" && order == nullptr) return {INVALID_TICKET, -1};
  if (!flags["market_open"]) return {MARKET_CLOSED, -1};
  if (terms != nullptr && terms->bid <= 0) return {OFF_QUOTES, -1};
  if (call.name == "OrderSend") return open_order(call);
  if (call.name == "OrderModify") return modify_order(call);
  if (call.name == "OrderClose") return close_order(call);
  return delete_order(call);
}

}  // namespace terminal
