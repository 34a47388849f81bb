// account.hpp - docs.mql4.com/account
#pragma once
#include "runtime/text.hpp"

// docs.mql4.com/constants/environment_state/accountinformation
enum ENUM_ACCOUNT_INFO_INTEGER {
  ACCOUNT_LOGIN = 0,
  ACCOUNT_TRADE_MODE = 32,
  ACCOUNT_TRADE_ALLOWED = 33,
  ACCOUNT_TRADE_EXPERT = 34,
  ACCOUNT_LEVERAGE = 35,
  ACCOUNT_LIMIT_ORDERS = 47
};
enum ENUM_ACCOUNT_INFO_DOUBLE {
  ACCOUNT_BALANCE = 37,
  ACCOUNT_CREDIT = 38,
  ACCOUNT_PROFIT = 39,
  ACCOUNT_EQUITY = 40,
  ACCOUNT_MARGIN = 41,
  ACCOUNT_MARGIN_FREE = 42,
  ACCOUNT_FREEMARGIN = 42,
  ACCOUNT_MARGIN_LEVEL = 43
};
enum ENUM_ACCOUNT_INFO_STRING {
  ACCOUNT_NAME = 1,
  ACCOUNT_COMPANY = 2,
  ACCOUNT_SERVER = 3,
  ACCOUNT_CURRENCY = 36
};
enum ENUM_ACCOUNT_TRADE_MODE {
  ACCOUNT_TRADE_MODE_DEMO = 0,
  ACCOUNT_TRADE_MODE_CONTEST = 1,
  ACCOUNT_TRADE_MODE_REAL = 2
};

// account/accountinfointeger, accountinfodouble, accountinfostring. While the terminal is not
// connected the last known values stay.
long AccountInfoInteger(ENUM_ACCOUNT_INFO_INTEGER property);
double AccountInfoDouble(ENUM_ACCOUNT_INFO_DOUBLE property);
string AccountInfoString(ENUM_ACCOUNT_INFO_STRING property);
// account/accountnumber, accountserver, accountcurrency, accountleverage, accountcompany, …
int AccountNumber();
string AccountServer();
string AccountCurrency();
int AccountLeverage();
string AccountCompany();
string AccountName();
double AccountBalance();
double AccountCredit();
double AccountEquity();
double AccountMargin();
double AccountFreeMargin();
double AccountProfit();
// account/accountfreemargincheck: what stays free after opening at the current price; error 134 if
// the money does not suffice
double AccountFreeMarginCheck(const string &symbol, int cmd, double volume);
