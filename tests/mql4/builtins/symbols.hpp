// symbols.hpp - docs.mql4.com/marketinformation
#pragma once
#include "runtime/moment.hpp"
#include "runtime/text.hpp"

// docs.mql4.com/constants/environment_state/marketinfoconstants
enum {
  MODE_LOW = 1,
  MODE_HIGH = 2,
  MODE_TIME = 5,
  MODE_BID = 9,
  MODE_ASK = 10,
  MODE_POINT = 11,
  MODE_DIGITS = 12,
  MODE_SPREAD = 13,
  MODE_STOPLEVEL = 14,
  MODE_LOTSIZE = 15,
  MODE_TICKVALUE = 16,
  MODE_TICKSIZE = 17,
  MODE_TRADEALLOWED = 22,
  MODE_MINLOT = 23,
  MODE_LOTSTEP = 24,
  MODE_MAXLOT = 25,
  MODE_MARGINREQUIRED = 32,
  MODE_FREEZELEVEL = 33
};
// docs.mql4.com/constants/environment_state/marketinfoconstants (SymbolInfo properties)
enum ENUM_SYMBOL_INFO_INTEGER {
  SYMBOL_SELECT = 0,
  SYMBOL_TIME = 15,
  SYMBOL_DIGITS = 17,
  SYMBOL_SPREAD = 18,
  SYMBOL_TRADE_MODE = 30,
  SYMBOL_TRADE_STOPS_LEVEL = 31,
  SYMBOL_TRADE_FREEZE_LEVEL = 32,
  SYMBOL_TRADE_EXEMODE = 33
};
enum ENUM_SYMBOL_INFO_DOUBLE {
  SYMBOL_BID = 1,
  SYMBOL_ASK = 4,
  SYMBOL_POINT = 16,
  SYMBOL_TRADE_TICK_VALUE = 26,
  SYMBOL_TRADE_TICK_SIZE = 27,
  SYMBOL_TRADE_CONTRACT_SIZE = 28,
  SYMBOL_VOLUME_MIN = 34,
  SYMBOL_VOLUME_MAX = 35,
  SYMBOL_VOLUME_STEP = 36
};
enum ENUM_SYMBOL_INFO_STRING {
  SYMBOL_DESCRIPTION = 20,
  SYMBOL_CURRENCY_BASE = 22,
  SYMBOL_CURRENCY_PROFIT = 23,
  SYMBOL_CURRENCY_MARGIN = 24
};
enum ENUM_SYMBOL_TRADE_MODE {
  SYMBOL_TRADE_MODE_DISABLED = 0,
  SYMBOL_TRADE_MODE_LONGONLY = 1,
  SYMBOL_TRADE_MODE_SHORTONLY = 2,
  SYMBOL_TRADE_MODE_CLOSEONLY = 3,
  SYMBOL_TRADE_MODE_FULL = 4
};
enum ENUM_SYMBOL_TRADE_EXECUTION {
  SYMBOL_TRADE_EXECUTION_REQUEST = 0,
  SYMBOL_TRADE_EXECUTION_INSTANT = 1,
  SYMBOL_TRADE_EXECUTION_MARKET = 2
};
// docs.mql4.com/constants/structures/mqltick (MQL4 has no time_msc)
struct MqlTick {
  datetime time;
  double bid;
  double ask;
  double last;
  ulong volume;
};

// marketinformation/marketinfo: 0 and error 4106 for an unknown symbol; a symbol outside Market
// Watch is unknown to it
double MarketInfo(const string &symbol, int type);
// marketinformation/symbolinfointeger, symbolinfodouble, symbolinfostring
long SymbolInfoInteger(const string &symbol, ENUM_SYMBOL_INFO_INTEGER property);
double SymbolInfoDouble(const string &symbol, ENUM_SYMBOL_INFO_DOUBLE property);
string SymbolInfoString(const string &symbol, ENUM_SYMBOL_INFO_STRING property);
bool SymbolInfoInteger(const string &symbol, ENUM_SYMBOL_INFO_INTEGER property, long &value);
bool SymbolInfoDouble(const string &symbol, ENUM_SYMBOL_INFO_DOUBLE property, double &value);
bool SymbolInfoString(const string &symbol, ENUM_SYMBOL_INFO_STRING property, string &value);
// marketinformation/symbolinfotick
bool SymbolInfoTick(const string &symbol, MqlTick &tick);
// marketinformation/symbolselect, symbolstotal, symbolname
bool SymbolSelect(const string &symbol, bool select);
int SymbolsTotal(bool selected);
string SymbolName(int position, bool selected);
// chart/symbol, chart/period (minutes), series/refreshrates
string Symbol();
int Period();
bool RefreshRates();
