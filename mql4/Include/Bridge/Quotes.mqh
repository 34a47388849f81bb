//+-------------------------------------------------------------------+
//| Quotes.mqh: what the server may ask about one symbol              |
//|                                                                   |
//| protocol.md 14: QUOTE, SYMBOL and CHECK. A symbol that the broker |
//| does not know is {"error":"SYMBOL_UNKNOWN"}.                      |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Hop.mqh>
#include <Bridge/Json.mqh>
#include <Bridge/Market.mqh>

#define QUOTES_NO_MONEY 134  // ERR_NOT_ENOUGH_MONEY

//--- the whole answer to a question that has none
string QueryError(string code) {
   CJson json;
   json.Begin();
   json.Text("error", code);
   return(json.Done());
}

class CQuotes {
private:
   string Quote(CMarket &market, string symbol);
   string Spec(CMarket &market, string symbol);
   double PointValue(string symbol);
   string Check(CHop &hop, CMarket &market);

public:
   bool Answer(CHop &hop, CMarket &market, string &json);
};

//--- false: not one of these questions
bool CQuotes::Answer(CHop &hop, CMarket &market, string &json) {
   if(hop.word == "QUOTE") json = Quote(market, hop.part[2]);
   else if(hop.word == "SYMBOL") json = Spec(market, hop.part[2]);
   else if(hop.word == "CHECK") json = Check(hop, market);
   else return(false);
   return(true);
}

string CQuotes::Quote(CMarket &market, string symbol) {
   CSpec spec;
   long bid = 0, ask = 0;
   if(!market.Spec(symbol, spec) || !market.Quote(spec, bid, ask))
      return(QueryError("SYMBOL_UNKNOWN"));
   CJson json;
   json.Begin();
   json.Text("symbol", symbol);
   json.Text("bid", DecimalText(bid, spec.digits));
   json.Text("ask", DecimalText(ask, spec.digits));
   long time_s = (long)MarketInfo(symbol, MODE_TIME);
   json.Number("time_ms", market.zone.ToUtcMs(1000 * time_s));
   return(json.Done());
}

//--- what one lot gains or loses by one point, account currency; 0: the broker does not say
double CQuotes::PointValue(string symbol) {
   double tick = MarketInfo(symbol, MODE_TICKSIZE);
   if(tick <= 0) return(0);
   return(MarketInfo(symbol, MODE_TICKVALUE) * MarketInfo(symbol, MODE_POINT) / tick);
}

string CQuotes::Spec(CMarket &market, string symbol) {
   CSpec spec;
   if(!market.Spec(symbol, spec)) return(QueryError("SYMBOL_UNKNOWN"));
   CJson json;
   json.Begin();
   json.Text("symbol", symbol);
   json.Number("digits", spec.digits);
   json.Text("point", DecimalShort(spec.point));
   json.Text("volume_min", DecimalShort(spec.volume_min));
   json.Text("volume_max", DecimalShort(spec.volume_max));
   json.Text("volume_step", DecimalShort(spec.volume_step));
   json.Text("contract_size", DecimalOf(spec.contract_size, ORDER_MONEY_DIGITS));
   json.Number("stops_level", spec.stops_level);
   json.Number("freeze_level", spec.freeze_level);
   json.Text("currency_base", SymbolInfoString(symbol, SYMBOL_CURRENCY_BASE));
   json.Text("currency_profit", SymbolInfoString(symbol, SYMBOL_CURRENCY_PROFIT));
   json.Text("tick_value", DecimalOf(PointValue(symbol), DECIMAL_PLACES_MAX));
   return(json.Done());
}

//--- what an order would take, at the price of now; `free_margin` is what would be left
string CQuotes::Check(CHop &hop, CMarket &market) {
   CSpec spec;
   int type = OrderTypeOf(hop.part[2]);
   long units = 0, bid = 0, ask = 0;
   string symbol = hop.part[4];
   if(type < 0 || !DecimalParse(hop.part[3], units) || units <= 0) return(QueryError("BODY"));
   if(!market.Spec(symbol, spec) || !market.Quote(spec, bid, ask))
      return(QueryError("SYMBOL_UNKNOWN"));
   bool buys = OrderTypeBuys(type);
   ResetLastError();
   double volume = DecimalToDouble(units, DECIMAL_PLACES_MAX);
   double left = AccountFreeMarginCheck(symbol, buys ? OP_BUY : OP_SELL, volume);
   int failed = GetLastError();
   if(left <= 0 || failed == QUOTES_NO_MONEY) return(QueryError("NO_MONEY"));
   CJson json;
   json.Begin();
   json.Text("margin", DecimalOf(AccountFreeMargin() - left, ORDER_MONEY_DIGITS));
   json.Text("free_margin", DecimalOf(left, ORDER_MONEY_DIGITS));
   json.Text("price", DecimalText(buys ? ask : bid, spec.digits));
   return(json.Done());
}
//+-------------------------------------------------------------------+
