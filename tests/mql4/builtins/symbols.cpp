#include "symbols.hpp"

#include <cmath>
#include <vector>

#include "simulator/broker.hpp"
#include "simulator/program.hpp"

namespace {

using terminal::SymbolTerms;
constexpr int UNKNOWN_SYMBOL = 4106;
constexpr int WRONG_PARAMETER = 4051;

// NULL and "" mean the chart's symbol.
SymbolTerms *any(const string &name) {
  const std::string wanted = name.s.empty() ? terminal::program().chart() : name.u8();
  SymbolTerms *terms = terminal::broker().symbol(wanted);
  if (terms == nullptr) mql_set_error(UNKNOWN_SYMBOL);
  return terms;
}

SymbolTerms *watched(const string &name) {
  SymbolTerms *terms = any(name);
  if (terms != nullptr && terms->selected) return terms;
  mql_set_error(UNKNOWN_SYMBOL);
  return nullptr;
}

double tick_value(const SymbolTerms &terms) {
  const double value = terms.point() * terms.contract_size;
  const bool inverse = terms.base == terminal::broker().account.currency && terms.seen_bid > 0;
  return inverse ? value / terms.seen_bid : value;
}

std::vector<SymbolTerms *> list(bool selected) {
  std::vector<SymbolTerms *> found;
  for (const std::string &name : terminal::broker().symbol_names()) {
    SymbolTerms *terms = terminal::broker().symbol(name);
    if (!selected || terms->selected) found.push_back(terms);
  }
  return found;
}

}  // namespace

double MarketInfo(const string &symbol, int type) {
  const SymbolTerms *terms = watched(symbol);
  if (terms == nullptr) return 0;
  switch (type) {
    case MODE_TIME: return static_cast<double>(terms->seen_s);
    case MODE_BID: return terms->seen_bid;
    case MODE_ASK: return terms->seen_ask;
    case MODE_POINT:
    case MODE_TICKSIZE: return terms->point();
    case MODE_DIGITS: return terms->digits;
    case MODE_SPREAD: return std::round((terms->seen_ask - terms->seen_bid) / terms->point());
    case MODE_STOPLEVEL: return terms->stop_level;
    case MODE_LOTSIZE: return terms->contract_size;
    case MODE_TICKVALUE: return tick_value(*terms);
    case MODE_TRADEALLOWED: return terms->trade_allowed;
    case MODE_MINLOT: return terms->min_lot;
    case MODE_LOTSTEP: return terms->lot_step;
    case MODE_MAXLOT: return terms->max_lot;
    case MODE_MARGINREQUIRED: return terminal::broker().margin_of(*terms, 1);
    case MODE_FREEZELEVEL: return terms->freeze_level;
    default: break;
  }
  mql_violation("MarketInfo: type " + std::to_string(type) + " is not offered here");
  mql_set_error(WRONG_PARAMETER);
  return 0;
}

long SymbolInfoInteger(const string &symbol, ENUM_SYMBOL_INFO_INTEGER property) {
  const SymbolTerms *terms = any(symbol);
  if (terms == nullptr) return 0;
  switch (property) {
    case SYMBOL_SELECT: return terms->selected;
    case SYMBOL_TIME: return terms->seen_s;
    case SYMBOL_DIGITS: return terms->digits;
    case SYMBOL_SPREAD: return std::lround((terms->seen_ask - terms->seen_bid) / terms->point());
    case SYMBOL_TRADE_MODE:
      return terms->trade_allowed ? SYMBOL_TRADE_MODE_FULL : SYMBOL_TRADE_MODE_DISABLED;
    case SYMBOL_TRADE_STOPS_LEVEL: return terms->stop_level;
    case SYMBOL_TRADE_FREEZE_LEVEL: return terms->freeze_level;
    case SYMBOL_TRADE_EXEMODE:
      return terms->market_execution ? SYMBOL_TRADE_EXECUTION_MARKET
                                     : SYMBOL_TRADE_EXECUTION_INSTANT;
  }
  return 0;
}

double SymbolInfoDouble(const string &symbol, ENUM_SYMBOL_INFO_DOUBLE property) {
  const SymbolTerms *terms = any(symbol);
  if (terms == nullptr) return 0;
  switch (property) {
    case SYMBOL_BID: return terms->seen_bid;
    case SYMBOL_ASK: return terms->seen_ask;
    case SYMBOL_POINT:
    case SYMBOL_TRADE_TICK_SIZE: return terms->point();
    case SYMBOL_TRADE_TICK_VALUE: return tick_value(*terms);
    case SYMBOL_TRADE_CONTRACT_SIZE: return terms->contract_size;
    case SYMBOL_VOLUME_MIN: return terms->min_lot;
    case SYMBOL_VOLUME_MAX: return terms->max_lot;
    case SYMBOL_VOLUME_STEP: return terms->lot_step;
  }
  return 0;
}

string SymbolInfoString(const string &symbol, ENUM_SYMBOL_INFO_STRING property) {
  const SymbolTerms *terms = any(symbol);
  if (terms == nullptr) return string();
  switch (property) {
    case SYMBOL_DESCRIPTION: return string(terms->name);
    case SYMBOL_CURRENCY_BASE:
    case SYMBOL_CURRENCY_MARGIN: return string(terms->base);
    case SYMBOL_CURRENCY_PROFIT: return string(terms->profit);
  }
  return string();
}

bool SymbolInfoInteger(const string &symbol, ENUM_SYMBOL_INFO_INTEGER property, long &value) {
  if (any(symbol) == nullptr) return false;
  value = SymbolInfoInteger(symbol, property);
  return true;
}

bool SymbolInfoDouble(const string &symbol, ENUM_SYMBOL_INFO_DOUBLE property, double &value) {
  if (any(symbol) == nullptr) return false;
  value = SymbolInfoDouble(symbol, property);
  return true;
}

bool SymbolInfoString(const string &symbol, ENUM_SYMBOL_INFO_STRING property, string &value) {
  if (any(symbol) == nullptr) return false;
  value = SymbolInfoString(symbol, property);
  return true;
}

bool SymbolInfoTick(const string &symbol, MqlTick &tick) {
  const SymbolTerms *terms = watched(symbol);
  if (terms == nullptr || terms->seen_bid <= 0) return false;
  tick = MqlTick{datetime(terms->seen_s), terms->seen_bid, terms->seen_ask, 0, 0};
  return true;
}

bool SymbolSelect(const string &symbol, bool select) {
  SymbolTerms *terms = any(symbol);
  if (terms == nullptr) return false;
  terms->selected = select;
  return true;
}

int SymbolsTotal(bool selected) { return static_cast<int>(list(selected).size()); }

string SymbolName(int position, bool selected) {
  const std::vector<SymbolTerms *> found = list(selected);
  if (position < 0 || position >= static_cast<int>(found.size())) return string();
  return string(found[static_cast<size_t>(position)]->name);
}

string Symbol() { return string(terminal::program().chart()); }
int Period() { return 60; }
bool RefreshRates() { return true; }
