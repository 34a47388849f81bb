// The broker's terms: what is traded, on what conditions, by which account.
#pragma once
#include <map>
#include <string>

namespace terminal {

// Order types, docs.mql4.com/constants/tradingconstants/orderproperties. Balance (6) and credit (7)
// are undocumented there, yet every account history begins with one.
enum OrderType { BUY, SELL, BUY_LIMIT, SELL_LIMIT, BUY_STOP, SELL_STOP, BALANCE, CREDIT };

constexpr bool is_position(int type) { return type == BUY || type == SELL; }
constexpr bool is_pending(int type) { return type >= BUY_LIMIT && type <= SELL_STOP; }
constexpr bool is_long(int type) {
  return type == BUY || type == BUY_LIMIT || type == BUY_STOP;
}

struct SymbolTerms {
  std::string name;
  int digits = 5;
  double contract_size = 100'000;
  double min_lot = 0.01;
  double max_lot = 100;
  double lot_step = 0.01;
  int stop_level = 0;         // points
  int freeze_level = 0;       // points
  std::string base = "EUR";
  std::string profit = "USD";
  double commission = 0;      // per lot, account currency, charged at the opening
  bool market_execution = false;  // stops at entry are refused, prices ignored
  bool trade_allowed = true;

  double bid = 0;
  double ask = 0;
  long quote_s = 0;  // market time of the last quote, seconds
  // The last quote that reached the terminal.
  double seen_bid = 0;
  double seen_ask = 0;
  long seen_s = 0;
  bool selected = true;

  double point() const;
  double on_grid(double price) const;     // NormalizeDouble to this symbol's digits
  bool is_normalized(double price) const;
  void see();  // the quote reaches the terminal
};

struct AccountTerms {
  long number = 12345678;
  std::string server = "Broker-Demo";
  std::string company = "Broker Ltd";
  std::string name = "Test Trader";
  std::string currency = "USD";
  bool demo = true;
  int leverage = 100;
  double stop_out_percent = 50;
};

// Switches that tests turn; the names are the control command's.
struct Flags {
  std::map<std::string, bool> on = {
      {"dlls", true},           // Allow DLL imports
      {"trade_allowed", true},  // the AutoTrading button
      {"expert", true},         // Allow live trading, in the EA's own settings
      {"connected", true},      {"market_open", true},    {"tester", false},
      {"busy", false},          {"account_trade", true},  {"account_expert", true},
      {"expiration", true},     // the broker takes expirations of pendings
  };
  bool operator[](const std::string &name) const { return on.at(name); }
};

}  // namespace terminal
