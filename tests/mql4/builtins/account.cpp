#include "account.hpp"

#include "simulator/broker.hpp"

namespace {

constexpr int NOT_ENOUGH_MONEY = 134;
constexpr int UNKNOWN_SYMBOL = 4106;

terminal::Broker &broker() { return terminal::broker(); }
const terminal::AccountTerms &terms() { return broker().account; }

}  // namespace

long AccountInfoInteger(ENUM_ACCOUNT_INFO_INTEGER property) {
  switch (property) {
    case ACCOUNT_LOGIN: return terms().number;
    case ACCOUNT_TRADE_MODE:
      return terms().demo ? ACCOUNT_TRADE_MODE_DEMO : ACCOUNT_TRADE_MODE_REAL;
    case ACCOUNT_TRADE_ALLOWED: return broker().flags["account_trade"];
    case ACCOUNT_TRADE_EXPERT: return broker().flags["account_expert"];
    case ACCOUNT_LEVERAGE: return terms().leverage;
    case ACCOUNT_LIMIT_ORDERS: return 0;
  }
  return 0;
}

double AccountInfoDouble(ENUM_ACCOUNT_INFO_DOUBLE property) {
  const double equity = broker().equity();
  const double margin = broker().margin();
  switch (property) {
    case ACCOUNT_BALANCE: return broker().balance();
    case ACCOUNT_CREDIT: return 0;
    case ACCOUNT_PROFIT: return equity - broker().balance();
    case ACCOUNT_EQUITY: return equity;
    case ACCOUNT_MARGIN: return margin;
    case ACCOUNT_MARGIN_FREE: return equity - margin;
    case ACCOUNT_MARGIN_LEVEL: return margin > 0 ? equity / margin * 100 : 0;
  }
  return 0;
}

string AccountInfoString(ENUM_ACCOUNT_INFO_STRING property) {
  switch (property) {
    case ACCOUNT_NAME: return string(terms().name);
    case ACCOUNT_COMPANY: return string(terms().company);
    case ACCOUNT_SERVER: return string(terms().server);
    case ACCOUNT_CURRENCY: return string(terms().currency);
  }
  return string();
}

int AccountNumber() { return static_cast<int>(terms().number); }
string AccountServer() { return string(terms().server); }
string AccountCurrency() { return string(terms().currency); }
int AccountLeverage() { return terms().leverage; }
string AccountCompany() { return string(terms().company); }
string AccountName() { return string(terms().name); }
double AccountBalance() { return AccountInfoDouble(ACCOUNT_BALANCE); }
double AccountCredit() { return AccountInfoDouble(ACCOUNT_CREDIT); }
double AccountEquity() { return AccountInfoDouble(ACCOUNT_EQUITY); }
double AccountMargin() { return AccountInfoDouble(ACCOUNT_MARGIN); }
double AccountFreeMargin() { return AccountInfoDouble(ACCOUNT_MARGIN_FREE); }
double AccountProfit() { return AccountInfoDouble(ACCOUNT_PROFIT); }

double AccountFreeMarginCheck(const string &symbol, int, double volume) {
  const terminal::SymbolTerms *traded = broker().symbol(symbol.u8());
  if (traded == nullptr) {
    mql_set_error(UNKNOWN_SYMBOL);
    return 0;
  }
  const double left = AccountFreeMargin() - broker().margin_of(*traded, volume);
  if (left < 0) mql_set_error(NOT_ENOUGH_MONEY);
  return left;
}
