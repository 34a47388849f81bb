#include "orders.hpp"

#include <vector>

#include "simulator/broker.hpp"
#include "simulator/faults.hpp"
#include "simulator/host.hpp"

namespace {

using terminal::Order;

// docs.mql4.com/constants/errorswarnings/errorcodes
constexpr int WRONG_PARAMETER = 4051;
constexpr int NO_ORDER_SELECTED = 4105;
constexpr int INVALID_TICKET = 4108;

Order selected;
bool has_selected = false;

const Order &current(const char *function) {
  static const Order none;
  if (has_selected) return selected;
  mql_violation(std::string(function) + "() without a successful OrderSelect");
  mql_set_error(NO_ORDER_SELECTED);
  return none;
}

terminal::Broker &as_of_now() {
  terminal::broker().execute_late();
  return terminal::broker();
}

bool select(const Order *order, int error) {
  has_selected = order != nullptr;
  if (order == nullptr) {
    mql_set_error(error);
    return false;
  }
  selected = *order;
  selected.close_price = terminal::broker().current_price(*order);
  selected.profit = terminal::broker().floating_profit(*order);
  return true;
}

terminal::Answer trade(const terminal::Call &call) {
  const terminal::Answer answer = terminal::broker().call(call);
  if (answer.error) mql_set_error(answer.error);
  terminal::faults().reach(call.name, terminal::Moment::after);
  return answer;
}

terminal::Call call_of(const char *name, int ticket) {
  terminal::Call call;
  call.name = name;
  call.ticket = ticket;
  return call;
}

}  // namespace

void terminal::host::begin_event() { has_selected = false; }

int OrderSend(const string &symbol, int cmd, double volume, double price, int slippage,
              double stoploss, double takeprofit, const string &comment, int magic,
              datetime expiration, color) {
  terminal::Call call = call_of("OrderSend", 0);
  call.symbol = symbol.u8();
  call.type = cmd;
  call.lots = volume;
  call.price = price;
  call.slippage = slippage;
  call.sl = stoploss;
  call.tp = takeprofit;
  call.comment = comment.u8();
  call.magic = magic;
  call.expiration_s = expiration.v;
  const terminal::Answer answer = trade(call);
  return answer.error ? -1 : answer.ticket;
}

bool OrderModify(int ticket, double price, double stoploss, double takeprofit, datetime expiration,
                 color) {
  terminal::Call call = call_of("OrderModify", ticket);
  call.price = price;
  call.sl = stoploss;
  call.tp = takeprofit;
  call.expiration_s = expiration.v;
  return trade(call).error == 0;
}

bool OrderClose(int ticket, double lots, double price, int slippage, color) {
  terminal::Call call = call_of("OrderClose", ticket);
  call.lots = lots;
  call.price = price;
  call.slippage = slippage;
  return trade(call).error == 0;
}

bool OrderDelete(int ticket, color) { return trade(call_of("OrderDelete", ticket)).error == 0; }

bool OrderSelect(int index, int by, int pool) {
  terminal::Broker &broker = as_of_now();
  if (by == SELECT_BY_TICKET) return select(broker.shown(index), INVALID_TICKET);
  const std::vector<const Order *> rows =
      pool == MODE_HISTORY ? broker.shown_history() : broker.shown_open();
  if (by != SELECT_BY_POS || index < 0 || index >= static_cast<int>(rows.size()))
    return select(nullptr, WRONG_PARAMETER);
  return select(rows[static_cast<size_t>(index)], 0);
}

int OrdersTotal() { return static_cast<int>(as_of_now().shown_open().size()); }
int OrdersHistoryTotal() { return static_cast<int>(as_of_now().shown_history().size()); }

int OrderTicket() { return current("OrderTicket").ticket; }
int OrderType() { return current("OrderType").type; }
double OrderLots() { return current("OrderLots").lots; }
double OrderOpenPrice() { return current("OrderOpenPrice").open_price; }
double OrderClosePrice() { return current("OrderClosePrice").close_price; }
datetime OrderOpenTime() { return datetime(current("OrderOpenTime").open_s); }
datetime OrderCloseTime() { return datetime(current("OrderCloseTime").close_s); }
double OrderStopLoss() { return current("OrderStopLoss").sl; }
double OrderTakeProfit() { return current("OrderTakeProfit").tp; }
double OrderProfit() { return current("OrderProfit").profit; }
double OrderSwap() { return current("OrderSwap").swap; }
double OrderCommission() { return current("OrderCommission").commission; }
datetime OrderExpiration() { return datetime(current("OrderExpiration").expiration_s); }
int OrderMagicNumber() { return current("OrderMagicNumber").magic; }
string OrderSymbol() { return string(current("OrderSymbol").symbol); }
string OrderComment() { return string(current("OrderComment").comment); }
