// The book: rows, money, and what the ledger keeps of both.
#include <algorithm>
#include <cmath>

#include "broker.hpp"
#include "clock.hpp"

namespace terminal {
namespace {

constexpr long DAY_S = 86'400;

}  // namespace

Broker &broker() {
  static Broker one;
  return one;
}

SymbolTerms *Broker::symbol(const std::string &name) {
  const auto found = symbols_.find(name);
  return found == symbols_.end() ? nullptr : &found->second;
}

void Broker::add_symbol(const SymbolTerms &terms) {
  const SymbolTerms *old = symbol(terms.name);
  if (old == nullptr) names_.push_back(terms.name);
  SymbolTerms fresh = terms;
  if (old != nullptr) {
    fresh.bid = old->bid;
    fresh.ask = old->ask;
    fresh.quote_s = old->quote_s;
    fresh.see();
  }
  symbols_[terms.name] = fresh;
}

long Broker::now_s() const { return clock().server_ms() / 1000; }

Order *Broker::find(int ticket) {
  const auto found = book_.find(ticket);
  if (found == book_.end() || found->second.account != account.number) return nullptr;
  return &found->second;
}

std::vector<const Order *> Broker::rows(const Book &book, bool closed) const {
  std::vector<const Order *> found;
  for (const auto &[ticket, order] : book)
    if ((order.close_s != 0) == closed && order.account == account.number)
      found.push_back(&order);
  return found;
}

std::vector<const Order *> Broker::open_orders() const { return rows(book_, false); }
std::vector<const Order *> Broker::history() const { return rows(book_, true); }
std::vector<const Order *> Broker::shown_open() const { return rows(shown_book(), false); }

std::vector<const Order *> Broker::shown_history() const {
  std::vector<const Order *> found;
  for (const Order *order : rows(shown_book(), true))
    if (order->close_s >= history_since_s) found.push_back(order);
  return found;
}

const Order *Broker::shown(int ticket) const {
  const auto found = shown_book().find(ticket);
  if (found == shown_book().end() || found->second.account != account.number) return nullptr;
  const Order &order = found->second;
  return order.close_s && order.close_s < history_since_s ? nullptr : &order;
}

void Broker::set_connected(bool connected) {
  if (flags["connected"] && !connected) frozen_ = book_;
  flags.on["connected"] = connected;
  if (!connected) return;
  for (auto &[name, terms] : symbols_) {
    terms.see();
    last_quote_s_ = std::max(last_quote_s_, terms.seen_s);
  }
}

double Broker::current_price(const Order &order) {
  if (order.close_s) return order.close_price;
  const SymbolTerms *terms = symbol(order.symbol);
  if (terms == nullptr) return 0;
  const bool at_bid = is_pending(order.type) ? !is_long(order.type) : is_long(order.type);
  return at_bid ? terms->bid : terms->ask;
}

double Broker::profit_at(const Order &order, double lots, double price) {
  const SymbolTerms *terms = symbol(order.symbol);
  if (terms == nullptr || !is_position(order.type)) return 0;
  const double move = is_long(order.type) ? price - order.open_price : order.open_price - price;
  double money = move * lots * terms->contract_size;
  // Only the conversions that one quote can give; other crosses are taken as they are.
  if (terms->profit != account.currency && terms->base == account.currency) money /= price;
  return std::round(money * 100) / 100;
}

double Broker::floating_profit(const Order &order) {
  return order.close_s ? order.profit : profit_at(order, order.lots, current_price(order));
}

double Broker::margin_of(const SymbolTerms &terms, double lots) const {
  const double price = terms.base == account.currency ? 1 : terms.ask;
  return lots * terms.contract_size * price / account.leverage;
}

double Broker::margin() {
  double sum = 0;
  for (const Order *order : open_orders()) {
    const SymbolTerms *terms = symbol(order->symbol);
    if (is_position(order->type) && terms != nullptr) sum += margin_of(*terms, order->lots);
  }
  return sum;
}

double Broker::equity() {
  double sum = balance();
  for (const Order *order : open_orders())
    sum += floating_profit(*order) + order->swap + order->commission;
  return sum;
}

Order &Broker::touch(Order &order) {
  if (std::find(changed_.begin(), changed_.end(), order.ticket) == changed_.end())
    changed_.push_back(order.ticket);
  return order;
}

void Broker::settle(Order &order, double lots, double price, const std::string &comment) {
  touch(order);
  order.lots = lots;
  order.close_price = price;
  order.close_s = now_s();
  order.profit = profit_at(order, lots, price);
  order.comment = comment.substr(0, 31);
  if (is_position(order.type)) balance() += order.profit + order.swap + order.commission;
}

// Partial closing: the rest goes on under a new ticket with the old opening. Common observation
// (reference pages of brokers); the documentation of OrderClose says nothing of it.
void Broker::split(Order &order, double lots) {
  Order rest = order;
  rest.ticket = ++next_ticket_;
  rest.lots = std::round((order.lots - lots) * 1e8) / 1e8;
  rest.comment = "from #" + std::to_string(order.ticket);
  rest.commission = order.commission * (rest.lots / order.lots);
  order.commission -= rest.commission;
  order.comment = "to #" + std::to_string(rest.ticket);
  touch(order);
  touch(book_[rest.ticket] = rest);
}

void Broker::switch_account(long number, double amount) {
  account.number = number;
  balances_.emplace(number, amount);
}

void Broker::deposit(double amount, long days_ago) {
  Order row;
  row.ticket = book_.empty() ? 1 : ++next_ticket_;
  row.account = account.number;
  row.type = BALANCE;
  row.profit = amount;
  row.open_s = row.close_s = now_s() - days_ago * DAY_S;
  row.comment = "Deposit";
  balance() += amount;
  touch(book_[row.ticket] = row);
  log_changes(0);
}

void Broker::set_swap(int ticket, double value) {
  Order *order = find(ticket);
  if (order == nullptr || order->close_s) return;
  touch(*order).swap = value;
  log_changes(0);
}

void Broker::restore(const Order &order) { book_[order.ticket] = order; }

std::string Broker::order_json(const Order &order) const {
  Json row;
  row.integer("ticket", order.ticket).integer("account", order.account);
  row.text("symbol", order.symbol).text("type", type_name(order.type));
  row.real("lots", order.lots).real("open_price", order.open_price);
  row.real("close_price", order.close_price).real("sl", order.sl).real("tp", order.tp);
  row.real("swap", order.swap).real("commission", order.commission).real("profit", order.profit);
  row.integer("open_s", order.open_s).integer("close_s", order.close_s);
  row.integer("expiration_s", order.expiration_s).integer("magic", order.magic);
  return row.text("comment", order.comment).done();
}

void Broker::log_changes(long n) {
  if (changed_.empty()) return;
  std::vector<std::string> rows;
  for (const int ticket : changed_) rows.push_back(order_json(book_.at(ticket)));
  changed_.clear();
  std::vector<std::string> quotes;
  for (const auto &[name, terms] : symbols_)
    if (terms.bid > 0)
      quotes.push_back(Json().text("symbol", name).real("bid", terms.bid).real("ask", terms.ask)
                           .done());
  Json more;
  more.raw("orders", json_array(rows)).real("balance", balance());
  more.integer("account", account.number).integer("next_ticket", next_ticket_);
  more.raw("quotes", json_array(quotes));
  Entry entry;
  entry.phase = "state";
  entry.n = n;
  ledger.add(entry, {}, {}, more);
  ledger.flush();
}

}  // namespace terminal
