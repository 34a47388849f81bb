//+------------------------------------------------------------------+
//| Order.mqh: one row of the broker's records, as it shows it        |
//|                                                                   |
//| OrderSelect copies a row into the terminal's one selection, which |
//| any other call may replace: so it is read out at once, whole.     |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Decimal.mqh>

#define ORDER_MONEY_DIGITS 2
#define ORDER_BALANCE 6                // a deposit or withdrawal in the history (not documented)

//--- The wire's word of a MetaTrader order type, "" if there is none.
string OrderTypeText(int type) {
   switch(type) {
      case OP_BUY:       return("BUY");
      case OP_SELL:      return("SELL");
      case OP_BUYLIMIT:  return("BUY_LIMIT");
      case OP_SELLLIMIT: return("SELL_LIMIT");
      case OP_BUYSTOP:   return("BUY_STOP");
      case OP_SELLSTOP:  return("SELL_STOP");
      default: break;
   }
   return("");
}

//--- MetaTrader's type of a wire word, -1 if there is none.
int OrderTypeOf(string word) {
   for(int type = OP_BUY; type <= OP_SELLSTOP; type++)
      if(OrderTypeText(type) == word) return(type);
   return(-1);
}

bool OrderTypeBuys(int type) {
   return(type == OP_BUY || type == OP_BUYLIMIT || type == OP_BUYSTOP);
}

bool OrderTypeRests(int type) {
   return(type >= OP_BUYLIMIT && type <= OP_SELLSTOP);
}

class COrder {
public:
   int    ticket;
   int    type;
   int    magic;
   int    digits;
   string symbol;
   string comment;
   long   volume;             // 1e-8 lots
   long   open_price;         // 1e-8 units, as are close_price, sl and tp
   long   close_price;
   long   sl;
   long   tp;
   double profit;             // account currency, as are swap and commission
   double swap;
   double commission;
   long   opened;             // market time, seconds
   long   closed;             // 0: open, or resting
   long   expiration;         // 0: none

          COrder(void) { Clear(); }
   void   Clear(void);
   bool   Read(void);
   bool   IsOpen(void);
   bool   IsMarket(void);
   bool   IsPending(void);
   bool   Buys(void);
   bool   ClosedByBroker(void);
   bool   WasSplit(void);
   string Price(long units);
};

void COrder::Clear(void) {
   ticket = 0;
   type = -1;
   magic = 0;
   digits = 0;
   symbol = "";
   comment = "";
   volume = 0;
   open_price = 0;
   close_price = 0;
   sl = 0;
   tp = 0;
   profit = 0;
   swap = 0;
   commission = 0;
   opened = 0;
   closed = 0;
   expiration = 0;
}

//--- Take the selected order; false if a number of it cannot be one.
bool COrder::Read(void) {
   ticket = OrderTicket();
   type = OrderType();
   magic = OrderMagicNumber();
   symbol = OrderSymbol();
   comment = OrderComment();
   profit = OrderProfit();
   swap = OrderSwap();
   commission = OrderCommission();
   opened = (long)OrderOpenTime();
   closed = (long)OrderCloseTime();
   expiration = (long)OrderExpiration();
   digits = StringLen(symbol) > 0 ? (int)MarketInfo(symbol, MODE_DIGITS) : 0;
   return(DecimalFromDouble(OrderLots(), DECIMAL_PLACES_MAX, volume)
          && DecimalFromDouble(OrderOpenPrice(), DECIMAL_PLACES_MAX, open_price)
          && DecimalFromDouble(OrderClosePrice(), DECIMAL_PLACES_MAX, close_price)
          && DecimalFromDouble(OrderStopLoss(), DECIMAL_PLACES_MAX, sl)
          && DecimalFromDouble(OrderTakeProfit(), DECIMAL_PLACES_MAX, tp));
}

//--- In the pool of trades: an open position or a resting order.
bool COrder::IsOpen(void) {
   return(closed == 0);
}

bool COrder::IsMarket(void) {
   return(type == OP_BUY || type == OP_SELL);
}

bool COrder::IsPending(void) {
   return(OrderTypeRests(type));
}

bool COrder::Buys(void) {
   return(OrderTypeBuys(type));
}

//--- Closed by its own stops or by a stop-out: the broker says so in the comment.
bool COrder::ClosedByBroker(void) {
   if(closed == 0) return(false);
   return(StringFind(comment, "[sl]") >= 0 || StringFind(comment, "[tp]") >= 0
          || StringFind(comment, "so:") == 0);
}

//--- Closed in part: what is left goes on under a new ticket.
bool COrder::WasSplit(void) {
   return(StringFind(comment, "to #") == 0);
}

//--- A price of this symbol as text; none is "0".
string COrder::Price(long units) {
   if(units == 0) return("0");
   if(!DecimalHasDigits(units, digits)) return(DecimalShort(units));
   return(DecimalText(units, digits));
}
//+------------------------------------------------------------------+
