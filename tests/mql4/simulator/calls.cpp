// A trading call from the program's side: the terminal's checks, faults, delay, ledger, answer.
#include <cmath>

#include "broker.hpp"
#include "clock.hpp"
#include "pump.hpp"
#include "report.hpp"

namespace terminal {
namespace {

constexpr int NO_CONNECTION = 6;
constexpr int CONTEXT_BUSY = 146;
constexpr int INVALID_PARAMETER = 4051;
constexpr int UNKNOWN_SYMBOL = 4106;
constexpr int INVALID_PRICE = 4107;
constexpr int INVALID_TICKET = 4108;
constexpr int TRADE_NOT_ALLOWED = 4109;
constexpr int EXPERT_DISABLED = 4112;
constexpr int TRADE_DISABLED = 133;
constexpr size_t COMMENT_CHARS = 31;

const char *operation(const Call &call) {
  if (call.name == "OrderSend") return "OPEN";
  if (call.name == "OrderModify") return "MODIFY";
  return call.name == "OrderClose" ? "CLOSE" : "CANCEL";
}

std::string quoted(double value) { return json_text(decimal(value)); }

Json fields_of(const Call &call, const Order *order) {
  Json fields;
  const std::string op = operation(call);
  if (op == "OPEN") {
    fields.text("symbol", call.symbol).text("type", type_name(call.type));
    fields.raw("volume", quoted(call.lots)).raw("price", quoted(call.price));
    fields.raw("sl", quoted(call.sl)).raw("tp", quoted(call.tp));
    fields.integer("deviation", call.slippage).integer("expiration", call.expiration_s * 1000);
    return fields;
  }
  fields.integer("ticket", call.ticket);
  if (op == "CLOSE") {
    fields.text("symbol", order ? order->symbol : "").raw("volume", quoted(call.lots));
    fields.raw("price", quoted(call.price)).integer("deviation", call.slippage);
  } else if (op == "MODIFY") {
    fields.raw("price", quoted(call.price)).raw("sl", quoted(call.sl)).raw("tp", quoted(call.tp));
    fields.raw("old_sl", quoted(order ? order->sl : 0));
    fields.raw("old_tp", quoted(order ? order->tp : 0));
    fields.integer("expiration", call.expiration_s * 1000);
  }
  return fields;
}

Entry entry_of(const char *phase, const Call &call, long n, const Order *order) {
  Entry entry;
  entry.phase = phase;
  entry.n = n;
  entry.op = operation(call);
  entry.magic = call.name == "OrderSend" ? call.magic : order ? order->magic : 0;
  entry.comment = call.name == "OrderSend" ? call.comment : order ? order->comment : "";
  return entry;
}

}  // namespace

bool Broker::context_busy() const { return flags["busy"] || clock().mono_us() < busy_until_us; }

// docs.mql4.com/trading/ordersend and constants/errorswarnings/errorcodes: 4xxx are the terminal's.
int Broker::refuse_locally(const Call &call) {
  if (!flags["trade_allowed"] || !flags["expert"]) return TRADE_NOT_ALLOWED;
  if (!flags["account_expert"]) return EXPERT_DISABLED;
  const bool sends = call.name == "OrderSend";
  if (sends && (call.type < BUY || call.type > SELL_STOP)) return INVALID_PARAMETER;
  const Order *order = sends ? nullptr : find(call.ticket);
  if (!sends && (order == nullptr || order->close_s)) return INVALID_TICKET;
  const SymbolTerms *terms = symbol(sends ? call.symbol : order->symbol);
  if (terms == nullptr) return UNKNOWN_SYMBOL;
  // A deletion has no prices; market execution looks at none, yet the terminal does.
  for (const double price : {call.price, call.sl, call.tp})
    if (!terms->is_normalized(price)) return INVALID_PRICE;
  if (context_busy()) return CONTEXT_BUSY;
  if (!flags["connected"]) return NO_CONNECTION;
  return flags["account_trade"] ? 0 : TRADE_DISABLED;
}

void Broker::finish_call(const Call &call, long n, const Answer &truth) {
  const Order *order = find(call.name == "OrderSend" ? truth.ticket : call.ticket);
  Json result;
  result.text("outcome", truth.error ? "REJECTED" : "EXECUTED").integer("retcode", truth.error);
  if (!truth.error && order != nullptr) {
    result.integer("ticket", order->ticket).raw("volume", quoted(order->lots));
    result.raw("price", quoted(order->close_s ? order->close_price : order->open_price));
    result.raw("profit", quoted(order->profit));
  }
  ledger.add(entry_of("end", call, n, order), {}, result);
  log_changes(n);  // with the end line in one append
  ledger.flush();
}

Answer Broker::undecided(const Call &call, long n, const Fault &fault) {
  if (fault.kind == Fault::Kind::executed_but) {
    finish_call(call, n, execute(call));
  } else {
    late_.push_back({call, n, clock().server_ms() + fault.late_ms});
    Json more;
    more.integer("due_server_ms", late_.back().due_server_ms).text("call", call.name);
    ledger.add(entry_of("late", call, n, find(call.ticket)),
               fields_of(call, find(call.ticket)), {}, more);
    ledger.flush();
  }
  return {fault.error, -1};
}

Answer Broker::call(const Call &asked) {
  Call call = asked;
  if (call.comment.size() > COMMENT_CHARS) {
    violation("OrderSend: a comment longer than 31 characters is cut by the terminal");
    call.comment.resize(COMMENT_CHARS);
  }
  const long n = ledger.next();
  Json times;
  times.integer("message_us", message_us()).integer("call_us", real_us());
  ledger.add(entry_of("begin", call, n, find(call.ticket)), fields_of(call, find(call.ticket)), {},
             times);
  ledger.flush();
  faults().reach(call.name, Moment::before);
  Answer answer{refuse_locally(call), -1};
  if (answer.error) {
    finish_call(call, n, answer);
  } else {
    const Fault fault = faults().next(call.name);
    wait_for_broker(faults().next_delay_ms(call.name));
    answer = {fault.error, -1};
    if (fault.kind == Fault::Kind::executed_but || fault.kind == Fault::Kind::late) {
      answer = undecided(call, n, fault);
    } else {
      if (!fault.error && !flags["connected"]) answer = {NO_CONNECTION, -1};
      if (!answer.error) answer = execute(call);
      finish_call(call, n, answer);
    }
  }
  faults().reach(call.name, Moment::inside);
  Json told;
  told.integer("retcode", answer.error).integer("ticket", answer.ticket);
  ledger.add(entry_of("return", call, n, nullptr), {}, told);
  ledger.flush();
  return answer;
}

Answer Broker::by_hand(const Call &call) {
  const Answer answer = execute(call);
  log_changes(0);
  return answer;
}

void Broker::restore_late(const Call &call, long n, long due_server_ms) {
  late_.push_back({call, n, due_server_ms});
}

void Broker::log_start() {
  Entry entry;
  entry.phase = "start";
  Json result;
  result.integer("comment_chars", static_cast<long>(COMMENT_CHARS)).text("source", "terminal");
  entry.n = ledger.last();
  ledger.add(entry, {}, result);
  ledger.flush();
}

}  // namespace terminal
