//+-------------------------------------------------------------------+
//| Row.mqh: one order of the terminal's pools, as the wire shows it  |
//|                                                                   |
//| protocol.md 14, rows. Money is in account currency. Times are the |
//| broker's, in seconds; as text they are UTC ms (Zone.mqh).         |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Json.mqh>
#include <Bridge/Order.mqh>
#include <Bridge/Zone.mqh>

#define ROW_NO_MONEY "0.00"

class CRow : public COrder {
private:
   void WriteMoney(CJson &json);

public:
   string rid;  // the request it came from, "" = not ours
   string client_order_id;
   string words;   // the comment as the user signed it
   bool missing;   // gone from the pool, not explained yet
   uint since;     // GetTickCount when it was missed
   bool follows;   // the rest of a position that was closed in part
   bool deferred;  // not told before the one it may follow is

   CRow(void) { Forget(); }
   void Forget(void);
   bool Take(void);
   void CopyFrom(CRow &other);
   void Inherit(CRow &other);
   bool SameTrade(CRow &other);
   string Volume(void);
   string Money(double money);
   string Reason(bool ours);
   long FromTicket(void);
   string PositionText(CZone &zone);
   string OrderText(CZone &zone);
   string ClosedText(CZone &zone, bool ours);
};

void CRow::Forget(void) {
   rid = "";
   client_order_id = "";
   words = "";
   missing = false;
   since = 0;
   follows = false;
   deferred = false;
}

//--- The order that OrderSelect has just selected; false if a number of it cannot be one.
bool CRow::Take(void) {
   Forget();
   bool read = Read();
   words = comment;
   return(read);
}

void CRow::CopyFrom(CRow &other) {
   ticket = other.ticket;
   type = other.type;
   magic = other.magic;
   digits = other.digits;
   symbol = other.symbol;
   comment = other.comment;
   volume = other.volume;
   open_price = other.open_price;
   close_price = other.close_price;
   sl = other.sl;
   tp = other.tp;
   profit = other.profit;
   swap = other.swap;
   commission = other.commission;
   opened = other.opened;
   closed = other.closed;
   expiration = other.expiration;
   missing = other.missing;
   since = other.since;
   follows = other.follows;
   deferred = other.deferred;
   Inherit(other);
}

//--- Who it is and where it came from goes on under another ticket.
void CRow::Inherit(CRow &other) {
   rid = other.rid;
   client_order_id = other.client_order_id;
   words = other.words;
}

//--- The same position under another ticket, as a partial close leaves it.
bool CRow::SameTrade(CRow &other) {
   return(symbol == other.symbol && type == other.type && magic == other.magic
           && opened == other.opened && open_price == other.open_price);
}

string CRow::Volume(void) {
   return(DecimalShort(volume));
}

string CRow::Money(double money) {
   return(DecimalOf(money, ORDER_MONEY_DIGITS));
}

//--- Why it is closed. The broker writes `[sl]`, `[tp]` and `so: ...` into the comment; whoever
//    closed it by hand or by our order left no mark, so the journal says which.
string CRow::Reason(bool ours) {
   if(!IsMarket() && !IsPending()) return("BALANCE");
   if(IsPending()) {
      bool expired = expiration != 0 && closed >= expiration;
      return(expired || StringFind(comment, "expiration") >= 0 ? "EXPIRED" : "CANCELLED");
   }
   if(StringFind(comment, "[sl]") >= 0) return("SL");
   if(StringFind(comment, "[tp]") >= 0) return("TP");
   if(StringFind(comment, "so:") == 0) return("STOP_OUT");
   return(ours ? "OURS" : "MANUAL");
}

//--- The ticket whose partial close left this one, 0 if none: the broker comments `from #n`.
long CRow::FromTicket(void) {
   int at = StringFind(comment, "from #");
   if(at < 0) return(0);
   long from = StringToInteger(StringSubstr(comment, at + 6));
   return(from > 0 ? from : 0);
}

void CRow::WriteMoney(CJson &json) {
   json.Text("profit", Money(profit));
   json.Text("swap", Money(swap));
   json.Text("commission", Money(commission));
   json.Number("magic", magic);
   json.Text("comment", comment);
}

string CRow::PositionText(CZone &zone) {
   CJson json;
   json.Number("ticket", ticket);
   json.Text("symbol", symbol);
   json.Text("type", OrderTypeText(type));
   json.Text("volume", Volume());
   json.Text("open_price", Price(open_price));
   json.Text("current_price", Price(close_price));
   json.Text("sl", Price(sl));
   json.Text("tp", Price(tp));
   WriteMoney(json);
   json.Number("opened_ms", zone.ToUtcMs(opened * 1000));
   return(json.Done());
}

string CRow::OrderText(CZone &zone) {
   CJson json;
   json.Number("ticket", ticket);
   json.Text("symbol", symbol);
   json.Text("type", OrderTypeText(type));
   json.Text("volume", Volume());
   json.Text("price", Price(open_price));
   json.Text("sl", Price(sl));
   json.Text("tp", Price(tp));
   json.Number("expiration_ms", zone.ToUtcMs(expiration * 1000));
   json.Number("magic", magic);
   json.Text("comment", comment);
   json.Number("placed_ms", zone.ToUtcMs(opened * 1000));
   return(json.Done());
}

string CRow::ClosedText(CZone &zone, bool ours) {
   CJson json;
   json.Number("ticket", ticket);
   json.Text("symbol", symbol);
   json.Text("type", OrderTypeText(type));
   json.Text("volume", Volume());
   json.Text("open_price", Price(open_price));
   json.Text("close_price", Price(close_price));
   json.Text("sl", Price(sl));
   json.Text("tp", Price(tp));
   WriteMoney(json);
   json.Number("opened_ms", zone.ToUtcMs(opened * 1000));
   json.Number("closed_ms", zone.ToUtcMs(closed * 1000));
   json.Text("reason", Reason(ours));
   json.Number("from_ticket", FromTicket());
   return(json.Done());
}
//+-------------------------------------------------------------------+
