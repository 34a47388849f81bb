// Prices, stops and volumes: what a MetaTrader 4 server takes.
//
// Sources: docs.mql4.com/trading/ordersend (stops, prices), /trading/ordermodify,
// docs.mql4.com/constants/errorswarnings/errorcodes (the numbers), book.mql4.com/appendix/limits
// (which price each distance is measured from).
#include <cmath>

#include "broker.hpp"

namespace terminal {
namespace {

constexpr const char *NAMES[] = {"BUY",      "SELL",      "BUY_LIMIT", "SELL_LIMIT",
                                 "BUY_STOP", "SELL_STOP", "BALANCE",   "CREDIT"};
constexpr int INVALID_STOPS = 130;
constexpr int INVALID_VOLUME = 131;
constexpr int TOO_CLOSE = 145;
constexpr int INVALID_PRICE = 4107;

// Distances are compared in whole points, so that no binary fraction decides.
long points(const SymbolTerms &terms, double distance) {
  return std::lround(distance / terms.point());
}

}  // namespace

double SymbolTerms::point() const { return std::pow(10, -digits); }

double SymbolTerms::on_grid(double price) const {
  const double scale = std::pow(10, digits);
  return std::round(price * scale) / scale;
}

bool SymbolTerms::is_normalized(double price) const {
  if (!std::isfinite(price)) return false;
  const double scaled = price * std::pow(10, digits);
  return std::fabs(scaled - std::round(scaled)) < 1e-4;
}

void SymbolTerms::see() {
  seen_bid = bid;
  seen_ask = ask;
  seen_s = quote_s;
}

const char *type_name(int type) { return type >= BUY && type <= CREDIT ? NAMES[type] : "?"; }

int type_of(const std::string &name) {
  for (int type = BUY; type <= CREDIT; ++type)
    if (name == NAMES[type]) return type;
  return -1;
}

int check_lots(const SymbolTerms &terms, double lots) {
  if (!std::isfinite(lots) || lots < terms.min_lot - 1e-9 || lots > terms.max_lot + 1e-9)
    return INVALID_VOLUME;
  const double steps = lots / terms.lot_step;
  return std::fabs(steps - std::round(steps)) > 1e-6 ? INVALID_VOLUME : 0;
}

int check_stops(const SymbolTerms &terms, int type, double reference, double sl, double tp) {
  if (!terms.is_normalized(sl) || !terms.is_normalized(tp)) return INVALID_PRICE;
  if (sl < 0 || tp < 0) return INVALID_STOPS;
  const int up = is_long(type) ? 1 : -1;
  // A stop at the price itself would be hit at once: one point is the least, whatever the level.
  const long least = terms.stop_level > 0 ? terms.stop_level : 1;
  if (sl > 0 && points(terms, up * (reference - sl)) < least) return INVALID_STOPS;
  if (tp > 0 && points(terms, up * (tp - reference)) < least) return INVALID_STOPS;
  return 0;
}

int check_pending_price(const SymbolTerms &terms, int type, double price) {
  if (!terms.is_normalized(price) || price <= 0) return INVALID_PRICE;
  const double market = is_long(type) ? terms.ask : terms.bid;
  const bool below = type == BUY_LIMIT || type == SELL_STOP;
  const long distance = points(terms, below ? market - price : price - market);
  const long least = terms.stop_level > 0 ? terms.stop_level : 1;
  return distance < least ? INVALID_STOPS : 0;
}

int check_freeze(const SymbolTerms &terms, const Order &order) {
  if (terms.freeze_level <= 0) return 0;
  const auto near = [&](double price, double market) {
    return price > 0 && std::labs(points(terms, price - market)) <= terms.freeze_level;
  };
  if (is_pending(order.type)) {
    const double market = is_long(order.type) ? terms.ask : terms.bid;
    return near(order.open_price, market) ? TOO_CLOSE : 0;
  }
  const double market = is_long(order.type) ? terms.bid : terms.ask;
  return near(order.sl, market) || near(order.tp, market) ? TOO_CLOSE : 0;
}

}  // namespace terminal
