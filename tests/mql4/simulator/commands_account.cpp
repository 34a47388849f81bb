// Commands: terms, the account, its book, and what a terminal is given back at its start.
#include <stdexcept>

#include "broker.hpp"
#include "host.hpp"
#include "clock.hpp"
#include "control.hpp"
#include "program.hpp"

namespace terminal {
namespace {

Json order_row(const Order &order) {
  Json row;
  row.integer("ticket", order.ticket).text("symbol", order.symbol);
  row.text("type", type_name(order.type)).real("lots", order.lots);
  row.real("open_price", order.open_price).real("close_price", order.close_price);
  row.real("sl", order.sl).real("tp", order.tp).real("swap", order.swap);
  row.real("commission", order.commission).real("profit", broker().floating_profit(order));
  row.integer("open_s", order.open_s).integer("close_s", order.close_s);
  row.integer("expiration_s", order.expiration_s).integer("magic", order.magic);
  return row.text("comment", order.comment);
}

Json orders(const Words &) {
  std::vector<std::string> open;
  std::vector<std::string> closed;
  for (const Order *order : broker().open_orders()) open.push_back(order_row(*order).done());
  for (const Order *order : broker().history()) closed.push_back(order_row(*order).done());
  Json reply;
  reply.raw("open", json_array(open)).raw("history", json_array(closed));
  return reply.real("balance", broker().balance()).real("equity", broker().equity());
}

// symbol NAME DIGITS CONTRACT MIN MAX STEP STOPS FREEZE BASE PROFIT COMMISSION ECN
Json symbol(const Words &words) {
  SymbolTerms terms;
  terms.name = words[1];
  terms.digits = static_cast<int>(to_integer(words[2]));
  terms.contract_size = to_real(words[3]);
  terms.min_lot = to_real(words[4]);
  terms.max_lot = to_real(words[5]);
  terms.lot_step = to_real(words[6]);
  terms.stop_level = static_cast<int>(to_integer(words[7]));
  terms.freeze_level = static_cast<int>(to_integer(words[8]));
  terms.base = words[9];
  terms.profit = words[10];
  terms.commission = to_real(words[11]);
  terms.market_execution = to_flag(words[12]);
  if (terms.digits < 0 || terms.digits > 8 || terms.lot_step <= 0)
    throw std::invalid_argument("digits 0 to 8, a lot step above 0");
  broker().add_symbol(terms);
  if (program().chart().empty()) program().set_chart(terms.name);
  return {};
}

Json terms(const Words &words) {
  AccountTerms &account = broker().account;
  account.number = to_integer(words[1]);
  account.server = words[2];
  account.demo = words[3] == "demo";
  account.currency = words[4];
  account.leverage = static_cast<int>(to_integer(words[5]));
  if (account.leverage < 1 || (words[3] != "demo" && words[3] != "real"))
    throw std::invalid_argument("KIND is demo or real, LEVERAGE at least 1");
  clock().set_server_zone(to_integer(words[6]));
  return {};
}

// The broker sets its clock (a DST change): what happens from now on is of the new time.
Json zone(const Words &words) {
  clock().set_server_zone(to_integer(words[1]));
  return {};
}

// What follows a change of the account in a terminal: another book, and the EA starts anew.
Json account(const Words &words) {
  if (words[3] != "demo" && words[3] != "real") throw std::invalid_argument("KIND: demo or real");
  const bool running = program().running();
  program().deinit(REASON_OF_ACCOUNT);
  AccountTerms &terms = broker().account;
  broker().switch_account(to_integer(words[1]), words.size() > 4 ? to_real(words[4]) : 0);
  terms.server = words[2];
  terms.demo = words[3] == "demo";
  return running ? Json().integer("code", program().init()) : Json();
}

Json balance(const Words &words) {
  broker().set_balance(to_integer(words[1]), to_real(words[2]));
  return {};
}

Json deposit(const Words &words) {
  broker().deposit(to_real(words[1]), words.size() > 2 ? to_integer(words[2]) : 0);
  return {};
}

Json swap(const Words &words) {
  broker().set_swap(static_cast<int>(to_integer(words[1])), to_real(words[2]));
  return {};
}

Json history_range(const Words &words) {
  const long now = clock().server_ms() / 1000;
  constexpr long DAY_S = 86'400;
  if (words[1] == "all")
    broker().history_since_s = 0;
  else if (words[1] == "today")
    broker().history_since_s = now - now % DAY_S;
  else
    broker().history_since_s = now - to_integer(words[1]) * 3600;
  return {};
}

// restore TICKET ACCOUNT SYMBOL TYPE LOTS OPEN CLOSE SL TP SWAP COMMISSION PROFIT
//         OPEN_S CLOSE_S EXPIRATION_S MAGIC COMMENT
Json restore(const Words &words) {
  Order order;
  order.ticket = static_cast<int>(to_integer(words[1]));
  order.account = to_integer(words[2]);
  order.symbol = words[3];
  order.type = type_of(words[4]);
  order.lots = to_real(words[5]);
  order.open_price = to_real(words[6]);
  order.close_price = to_real(words[7]);
  order.sl = to_real(words[8]);
  order.tp = to_real(words[9]);
  order.swap = to_real(words[10]);
  order.commission = to_real(words[11]);
  order.profit = to_real(words[12]);
  order.open_s = to_integer(words[13]);
  order.close_s = to_integer(words[14]);
  order.expiration_s = to_integer(words[15]);
  order.magic = static_cast<int>(to_integer(words[16]));
  order.comment = words[17];
  broker().restore(order);
  return {};
}

// restore_late N DUE_SERVER_MS CALL TICKET SYMBOL TYPE LOTS PRICE SLIPPAGE SL TP EXPIRATION_S
//              MAGIC COMMENT
Json restore_late(const Words &words) {
  Call call;
  call.name = words[3];
  call.ticket = static_cast<int>(to_integer(words[4]));
  call.symbol = words[5];
  call.type = type_of(words[6]);
  call.lots = to_real(words[7]);
  call.price = to_real(words[8]);
  call.slippage = static_cast<int>(to_integer(words[9]));
  call.sl = to_real(words[10]);
  call.tp = to_real(words[11]);
  call.expiration_s = to_integer(words[12]);
  call.magic = static_cast<int>(to_integer(words[13]));
  call.comment = words[14];
  broker().restore_late(call, to_integer(words[1]), to_integer(words[2]));
  return {};
}

// ledger PATH LAST_NUMBER NEXT_TICKET
Json ledger(const Words &words) {
  broker().ledger.set_last(to_integer(words[2]));
  broker().set_next_ticket(static_cast<int>(to_integer(words[3])));
  broker().ledger.open(words[1]);
  broker().log_start();
  return {};
}

Json build(const Words &words) {
  host::set_build(static_cast<int>(to_integer(words[1])));
  return {};
}

}  // namespace

const Commands &account_commands() {
  static const Commands table = {
      {"orders", {orders, 1, 1, "orders"}},
      {"symbol", {symbol, 13, 13, "symbol NAME DIGITS CONTRACT MIN MAX STEP STOPS FREEZE BASE "
                                  "PROFIT COMMISSION ECN"}},
      {"terms", {terms, 7, 7, "terms NUMBER SERVER KIND CURRENCY LEVERAGE ZONE_SECONDS"}},
      {"zone", {zone, 2, 2, "zone SECONDS: the broker's clock is UTC plus this"}},
      {"account", {account, 4, 5, "account NUMBER SERVER KIND [BALANCE]", true}},
      {"balance", {balance, 3, 3, "balance ACCOUNT AMOUNT"}},
      {"deposit", {deposit, 2, 3, "deposit AMOUNT [DAYS_AGO=0]"}},
      {"swap", {swap, 3, 3, "swap TICKET VALUE"}},
      {"history_range", {history_range, 2, 2, "history_range all|today|HOURS"}},
      {"restore", {restore, 18, 18, "restore: written by the driver"}},
      {"restore_late", {restore_late, 15, 15, "restore_late: written by the driver"}},
      {"ledger", {ledger, 4, 4, "ledger PATH LAST_NUMBER NEXT_TICKET"}},
      {"build", {build, 2, 2, "build NUMBER"}},
  };
  return table;
}

}  // namespace terminal
