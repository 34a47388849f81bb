// The broker: its book of orders, its rules, and the four calls of a trading program.
//
// What it does not know it does not invent: the rules are those of the MQL4 documentation pages
// named in the .cpp files; where the documentation is silent they are common observation, and said
// to be so. Netting does not exist: MetaTrader 4 accounts always hedge.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "faults.hpp"
#include "ledger.hpp"
#include "terms.hpp"

namespace terminal {

// One row of the book. An order is history as soon as it has a close time.
struct Order {
  int ticket = 0;
  long account = 0;
  std::string symbol;
  int type = BUY;
  double lots = 0;
  double open_price = 0;
  double close_price = 0;
  double sl = 0;
  double tp = 0;
  double swap = 0;
  double commission = 0;
  double profit = 0;
  long open_s = 0;        // market time, seconds
  long close_s = 0;
  long expiration_s = 0;
  int magic = 0;
  std::string comment;
};

// The arguments of one trading call; which fields count depends on the call.
struct Call {
  std::string name;    // OrderSend OrderModify OrderClose OrderDelete
  int ticket = 0;
  std::string symbol;
  int type = BUY;
  double lots = 0;
  double price = 0;
  int slippage = 0;
  double sl = 0;
  double tp = 0;
  std::string comment;
  int magic = 0;
  long expiration_s = 0;
};

struct Answer {
  int error = 0;    // 0: done
  int ticket = -1;  // OrderSend
};

class Broker {
 public:
  AccountTerms account;
  Flags flags;
  long history_since_s = 0;   // the Account History tab shows what closed since then
  long busy_until_us = 0;
  double fills_lots = 0;  // the next market order fills only so much; 0: all
  Ledger ledger;

  double &balance() { return balances_[account.number]; }
  // Another account: its own money, which `amount` is if nothing of it is known yet.
  void switch_account(long number, double amount);
  void set_balance(long number, double amount) { balances_[number] = amount; }

  // A trading call as the program makes it: faults, delays, ledger, rules. Blocks while "slow".
  Answer call(const Call &call);
  // A person's act in the terminal: the same rules, no faults, no ledger submission.
  Answer by_hand(const Call &call);

  SymbolTerms *symbol(const std::string &name);
  void add_symbol(const SymbolTerms &terms);
  const std::vector<std::string> &symbol_names() const { return names_; }

  void quote(const std::string &name, double bid, double ask);
  // A terminal that lost its server goes on showing what it knew: orders, history, quotes.
  void set_connected(bool connected);
  // Expirations and late executions that are due; call it whenever time may have passed.
  void pass_time();
  // The broker is another machine: whenever the book is looked at, what is due has been done,
  // however long this process was not given a processor.
  void execute_late();
  bool context_busy() const;
  long last_quote_s() const { return last_quote_s_; }

  void deposit(double amount, long days_ago);
  void set_swap(int ticket, double value);
  void restore(const Order &order);
  void restore_late(const Call &call, long n, long due_server_ms);
  void set_next_ticket(int ticket) { next_ticket_ = ticket; }
  void log_start();

  std::vector<const Order *> open_orders() const;
  std::vector<const Order *> history() const;
  // As the terminal shows it: history only as far as the Account History tab goes.
  std::vector<const Order *> shown_open() const;
  std::vector<const Order *> shown_history() const;
  const Order *shown(int ticket) const;
  Order *find(int ticket);
  double floating_profit(const Order &order);
  double current_price(const Order &order);
  double margin_of(const SymbolTerms &terms, double lots) const;
  double margin();
  double equity();

 private:
  struct Late {
    Call call;
    long n = 0;
    long due_server_ms = 0;
  };
  std::map<std::string, SymbolTerms> symbols_;
  std::vector<std::string> names_;
  using Book = std::map<int, Order>;
  Book book_;
  Book frozen_;  // the book as it was when the connection was lost
  std::map<long, double> balances_;  // by account number
  std::vector<Late> late_;
  std::vector<int> changed_;
  int next_ticket_ = 1000;
  long last_quote_s_ = 0;

  long now_s() const;
  const Book &shown_book() const { return flags["connected"] ? book_ : frozen_; }
  std::vector<const Order *> rows(const Book &book, bool closed) const;
  Answer execute(const Call &call);  // the server's own decision, and the deed
  Answer open_order(const Call &call);
  Answer modify_order(const Call &call);
  Answer close_order(const Call &call);
  Answer delete_order(const Call &call);
  int refuse_locally(const Call &call);   // what the terminal itself refuses
  int refuse_entry(const Call &call, const SymbolTerms &terms);
  Answer undecided(const Call &call, long n, const Fault &fault);
  void finish_call(const Call &call, long n, const Answer &truth);

  Order &touch(Order &order);  // remembers that it changed, for the ledger
  void settle(Order &order, double lots, double price, const std::string &comment);
  void split(Order &order, double lots);
  void trigger(SymbolTerms &terms);
  void hit_stops(Order &order, SymbolTerms &terms);
  void stop_out();
  void expire();
  void log_changes(long n);
  std::string order_json(const Order &order) const;
  double profit_at(const Order &order, double lots, double price);
};

Broker &broker();

// Whether stop loss and take profit keep their distance, docs.mql4.com/trading/ordersend and
// book.mql4.com/appendix/limits; 0, 130 (ERR_INVALID_STOPS) or 4107 (ERR_INVALID_PRICE).
int check_stops(const SymbolTerms &terms, int type, double reference, double sl, double tp);
// Whether a pending order's price is on the right side and far enough; 0, 130 or 4107.
int check_pending_price(const SymbolTerms &terms, int type, double price);
// 145 (ERR_TRADE_MODIFY_DENIED) where the freeze level forbids any change.
int check_freeze(const SymbolTerms &terms, const Order &order);
// 131 (ERR_INVALID_TRADE_VOLUME) unless within the bounds and on the lot step.
int check_lots(const SymbolTerms &terms, double lots);

const char *type_name(int type);
int type_of(const std::string &name);  // -1: none

}  // namespace terminal
