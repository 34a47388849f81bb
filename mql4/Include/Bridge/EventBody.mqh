//+-------------------------------------------------------------------+
//| EventBody.mqh: event bodies (protocol.md 10)                      |
//|                                                                   |
//| As msgspec writes them: the fields in their order, those with     |
//| their default left out. server_time is added when it is signed.   |
//| Times come in as the broker's (seconds) and are told as UTC ms.   |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Core.mqh>
#include <Bridge/Row.mqh>

class CEventBodies {
private:
   CZone m_zone;

   void Put(CJson &json, string name, string value);
   void PutNumber(CJson &json, string name, long value);
   void PutTime(CJson &json, string name, long time);
   void Origin(CJson &json, CRow &row);
   void Opening(CJson &json, string type, CRow &row, long time);

public:
   void Follow(CZone &zone) { m_zone.CopyFrom(zone); }
   string Opened(CRow &row, bool was_pending);
   string Modified(CRow &row, long time);
   string Closed(CRow &row, string reason, long rest, int next);
   string Vanished(CRow &row, long time);
   string Order(string type, CRow &row, string message);
   string Account(void);
   string Alert(string level, string code, string message);
};

//--- unless it is the default of its kind
void CEventBodies::Put(CJson &json, string name, string value) {
   if(StringLen(value) > 0 && value != "0" && value != ROW_NO_MONEY) json.Text(name, value);
}

void CEventBodies::PutNumber(CJson &json, string name, long value) {
   if(value != 0) json.Number(name, value);
}

void CEventBodies::PutTime(CJson &json, string name, long time) {
   PutNumber(json, name, m_zone.ToUtcMs(time * 1000));
}

void CEventBodies::Origin(CJson &json, CRow &row) {
   PutNumber(json, "magic", row.magic);
   Put(json, "comment", row.words);
   Put(json, "client_order_id", row.client_order_id);
   Put(json, "rid", row.rid);
   json.Text("origin", StringLen(row.rid) > 0 ? "ours" : "foreign");
}

void CEventBodies::Opening(CJson &json, string type, CRow &row, long time) {
   json.Begin();
   json.Text("type", type);
   json.Text("symbol", row.symbol);
   PutTime(json, "time", time);
   json.Number("ticket", row.ticket);
}

string CEventBodies::Opened(CRow &row, bool was_pending) {
   CJson json;
   Opening(json, "position_opened", row, row.opened);
   PutNumber(json, "order", was_pending ? row.ticket : 0);
   json.Text("side", OrderTypeText(row.type));
   Put(json, "volume", row.Volume());
   Put(json, "price", row.Price(row.open_price));
   Put(json, "open_price", row.Price(row.open_price));
   Put(json, "sl", row.Price(row.sl));
   Put(json, "tp", row.Price(row.tp));
   Origin(json, row);
   return(json.Done());
}

string CEventBodies::Modified(CRow &row, long time) {
   CJson json;
   Opening(json, "position_modified", row, time);
   json.Text("side", OrderTypeText(row.type));
   Put(json, "volume", row.Volume());
   Put(json, "price", row.Price(row.open_price));
   Put(json, "open_price", row.Price(row.open_price));
   Put(json, "sl", row.Price(row.sl));
   Put(json, "tp", row.Price(row.tp));
   Origin(json, row);
   return(json.Done());
}

//--- `rest` lots (0 = none) live on under the ticket `next` (0 = not known)
string CEventBodies::Closed(CRow &row, string reason, long rest, int next) {
   CJson json;
   Opening(json, "position_closed", row, row.closed);
   json.Text("side", OrderTypeText(row.type));
   Put(json, "volume", row.Volume());
   Put(json, "remaining_volume", DecimalShort(rest));
   PutNumber(json, "remaining_ticket", next);
   Put(json, "price", row.Price(row.open_price));
   Put(json, "open_price", row.Price(row.open_price));
   Put(json, "close_price", row.Price(row.close_price));
   Put(json, "sl", row.Price(row.sl));
   Put(json, "tp", row.Price(row.tp));
   Put(json, "profit", row.Money(row.profit));
   Put(json, "swap", row.Money(row.swap));
   Put(json, "commission", row.Money(row.commission));
   Put(json, "net_profit", row.Money(row.profit + row.swap + row.commission));
   json.Text("reason", reason);
   Origin(json, row);
   return(json.Done());
}

//--- gone from the terminal's list and not in the history it shows: no figures to tell
string CEventBodies::Vanished(CRow &row, long time) {
   CJson json;
   Opening(json, row.IsPending() ? "order_cancelled" : "position_closed", row, time);
   json.Text("side", OrderTypeText(row.type));
   Put(json, "volume", row.Volume());
   Put(json, "price", row.Price(row.open_price));
   Origin(json, row);
   json.Text("code", "NOT_SEEN");
   json.Text("message", "not in the account history: show all of it in the terminal");
   return(json.Done());
}

//--- order_placed, order_cancelled, order_expired; `message` says `modified` where it was changed
string CEventBodies::Order(string type, CRow &row, string message) {
   CJson json;
   long time = row.opened;
   if(!row.IsOpen()) time = row.closed;
   else if(StringLen(message) > 0) time = (long)TimeCurrent();
   Opening(json, type, row, time);
   json.Number("order", row.ticket);
   json.Text("side", OrderTypeText(row.type));
   Put(json, "volume", row.Volume());
   Put(json, "price", row.Price(row.open_price));
   Put(json, "sl", row.Price(row.sl));
   Put(json, "tp", row.Price(row.tp));
   Origin(json, row);
   Put(json, "message", message);
   PutTime(json, "expiration", row.expiration);
   return(json.Done());
}

string CEventBodies::Account(void) {
   CJson json;
   json.Begin();
   json.Text("type", "account_update");
   PutTime(json, "time", (long)TimeCurrent());
   Put(json, "balance", DecimalOf(AccountBalance(), ORDER_MONEY_DIGITS));
   Put(json, "equity", DecimalOf(AccountEquity(), ORDER_MONEY_DIGITS));
   Put(json, "margin", DecimalOf(AccountMargin(), ORDER_MONEY_DIGITS));
   Put(json, "free_margin", DecimalOf(AccountFreeMargin(), ORDER_MONEY_DIGITS));
   return(json.Done());
}

string CEventBodies::Alert(string level, string code, string message) {
   CJson json;
   json.Begin();
   json.Text("type", "alert");
   PutTime(json, "time", (long)TimeCurrent());
   Put(json, "code", code);
   Put(json, "level", level);
   Put(json, "message", message);
   return(json.Done());
}
//+-------------------------------------------------------------------+
