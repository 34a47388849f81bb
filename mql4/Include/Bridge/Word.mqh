//+------------------------------------------------------------------+
//| Word.mqh: what an Advisor answers about one request id            |
//|                                                                   |
//| protocol.md 14, `Word`. Numbers are texts as they stand in the    |
//| record; the record and its MAC are "" and "-" until the outcome   |
//| is final.                                                         |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Codes.mqh>
#include <Bridge/Json.mqh>
#include <Bridge/FlatJson.mqh>

class CWord {
public:
   string rid;
   string status;
   string record;
   string mac;
   string code;
   string limit;              // of a refusal, as far as they apply
   string value;
   string symbol;
   string type;
   long   ticket;
   long   deal;
   long   order;
   string volume;             // lots
   string price;              // quote currency, as are close_price, sl and tp
   string close_price;
   string sl;
   string tp;
   string profit;             // account currency, as are swap and commission
   string swap;
   string commission;
   string remaining_volume;
   long   remaining_ticket;
   int    retcode;            // MetaTrader's error code, 0: none
   long   market_ms;          // the broker's clock as UTC
   string comment;

          CWord(void) { Clear(); }
   void   Clear(void);
   void   ClearNumbers(void);
   bool   IsFinal(void);
   bool   Refuse(string why, string the_limit, string the_value);
   void   Unknown(string the_rid);
   string Json(void);
   bool   Read(string json);
};

void CWord::Clear(void) {
   rid = "";
   status = "";
   record = "";
   mac = "-";
   code = CODE_NONE;
   limit = "";
   value = "";
   symbol = "";
   type = "";
   retcode = 0;
   market_ms = 0;
   comment = "";
   ClearNumbers();
}

//--- A word that says that nothing happened shows no ticket and no number.
void CWord::ClearNumbers(void) {
   ticket = 0;
   deal = 0;
   order = 0;
   volume = "0";
   price = "0";
   close_price = "0";
   sl = "0";
   tp = "0";
   profit = "0";
   swap = "0";
   commission = "0";
   remaining_volume = "0";
   remaining_ticket = 0;
}

bool CWord::IsFinal(void) {
   return(StringLen(status) > 0 && status != STATUS_UNKNOWN && status != STATUS_NOT_SEEN);
}

//--- Note a refusal; always false, so that a check can end with it.
bool CWord::Refuse(string why, string the_limit, string the_value) {
   code = why;
   limit = the_limit;
   value = the_value;
   return(false);
}

//--- Begun, or perhaps begun, and not yet known: never "failed".
void CWord::Unknown(string the_rid) {
   ClearNumbers();
   rid = the_rid;
   status = STATUS_UNKNOWN;
   code = CODE_RECONCILING;
   record = "";
   mac = "-";
}

string CWord::Json(void) {
   CJson json;
   json.Begin();
   json.Text("rid", rid);
   json.Text("status", status);
   json.Text("record", record);
   json.Text("mac", mac);
   json.Text("code", code);
   json.Text("limit", limit);
   json.Text("value", value);
   json.Text("symbol", symbol);
   json.Text("type", type);
   json.Number("ticket", ticket);
   json.Number("deal", deal);
   json.Number("order", order);
   json.Text("volume", volume);
   json.Text("price", price);
   json.Text("close_price", close_price);
   json.Text("sl", sl);
   json.Text("tp", tp);
   json.Text("profit", profit);
   json.Text("swap", swap);
   json.Text("commission", commission);
   json.Text("remaining_volume", remaining_volume);
   json.Number("remaining_ticket", remaining_ticket);
   json.Number("retcode", retcode);
   json.Number("market_ms", market_ms);
   json.Text("comment", comment);
   return(json.Done());
}

//--- Take back what Json() wrote; false, and clear, if it is something else.
bool CWord::Read(string json) {
   CFlatJson flat;
   Clear();
   if(!flat.Read(json) || !flat.Has("status")) return(false);
   rid = flat.Text("rid");
   status = flat.Text("status");
   record = flat.Text("record");
   mac = flat.Text("mac");
   code = flat.Text("code");
   limit = flat.Text("limit");
   value = flat.Text("value");
   symbol = flat.Text("symbol");
   type = flat.Text("type");
   ticket = flat.Number("ticket");
   deal = flat.Number("deal");
   order = flat.Number("order");
   volume = flat.Text("volume");
   price = flat.Text("price");
   close_price = flat.Text("close_price");
   sl = flat.Text("sl");
   tp = flat.Text("tp");
   profit = flat.Text("profit");
   swap = flat.Text("swap");
   commission = flat.Text("commission");
   remaining_volume = flat.Text("remaining_volume");
   remaining_ticket = flat.Number("remaining_ticket");
   retcode = (int)flat.Number("retcode");
   market_ms = flat.Number("market_ms");
   comment = flat.Text("comment");
   return(true);
}
//+------------------------------------------------------------------+
