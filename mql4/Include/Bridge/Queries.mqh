//+-------------------------------------------------------------------+
//| Queries.mqh: what the server may ask, answered from the terminal  |
//|                                                                   |
//| protocol.md 14. Nothing here changes anything. Rows come in pages |
//| of at most 100 and never more than a hop body takes; `total` says |
//| how many there are, `book` which state of the book was read,      |
//| `complete` that nothing of what was asked for can be missing.     |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Desk.mqh>
#include <Bridge/Hop.mqh>
#include <Bridge/Origin.mqh>
#include <Bridge/Quotes.mqh>
#include <Bridge/Row.mqh>

#define QUERY_ROWS_MAX  100
#define QUERY_CHARS_MAX 46000  // a hop body has 48 KiB; one row fits into the rest
#define QUERY_VERSION   "5.0"
#define QUERY_KEEP_BITS 32

class CQueries {
private:
   CQuotes m_quotes;
   bool m_failed;  // an OrderSelect failed during this scan

   bool Select(int index, int pool);
   bool Wanted(CRow &row, int magic, bool positions);
   void Trades(CJson &json, CZone &zone, string name, long first, int magic);
   string Rows(CHop &hop, CDesk &desk);
   string History(CHop &hop, CDesk &desk, COrigin &origin);
   string Tag(CHop &hop, CDesk &desk, COrigin &origin);
   void WriteClosed(CJson &json, int ticket, CDesk &desk, COrigin &origin);
   void Sort(long &keys[]);

public:
   string instance;  // set by the bridge before each call
   string dll;
   string note;
   long seq;
   long dropped;
   long book;

   CQueries(void);
   string Beat(CDesk &desk);
   string Account(CDesk &desk);
   bool Answer(CHop &hop, CDesk &desk, COrigin &origin, string &json);
};

CQueries::CQueries(void) {
   m_failed = false;
   instance = "";
   dll = "";
   note = "";
   seq = 0;
   dropped = 0;
   book = 0;
}

//--- false: not a query
bool CQueries::Answer(CHop &hop, CDesk &desk, COrigin &origin, string &json) {
   if(hop.word == "ACCOUNT") json = Account(desk);
   else if(hop.word == "HEALTH") json = Beat(desk);
   else if(hop.word == "POSITIONS" || hop.word == "ORDERS") json = Rows(hop, desk);
   else if(hop.word == "HISTORY") json = History(hop, desk, origin);
   else if(hop.word == "TAG") json = Tag(hop, desk, origin);
   else return(m_quotes.Answer(hop, desk.room.market, json));
   return(true);
}

string CQueries::Beat(CDesk &desk) {
   CJson json;
   json.Begin();
   json.Text("instance", instance);
   json.Number("clock", desk.room.clock.WallMs());
   json.Number("started", desk.room.clock.StartedMs());
   json.Number("build", TerminalInfoInteger(TERMINAL_BUILD));
   json.Text("version", QUERY_VERSION);
   json.Text("dll", dll);
   json.Number("account", AccountNumber());
   json.Text("server", AccountServer());
   json.Text("kind", IsDemo() ? "demo" : "real");
   json.Text("currency", AccountCurrency());
   json.Number("leverage", AccountLeverage());
   json.Flag("connected", IsConnected());
   json.Flag("trade_allowed", IsExpertEnabled() && (IsTradeAllowed() || IsTradeContextBusy()));
   json.Flag("busy", IsTradeContextBusy());
   json.Text("state", desk.room.state.LevelText());
   json.Text("cause", desk.room.state.Cause());
   json.Text("dead_man", desk.DeadManText());
   json.OpenArray("kids");
   for(int k = 0; k < desk.room.keys.Count(); k++) json.Text("", desk.room.keys.Kid(k));
   json.Close();
   json.OpenArray("symbols");
   for(int s = 0; s < desk.room.caps.Count(); s++) json.Text("", desk.room.caps.Symbol(s));
   json.Close();
   json.Text("max_lots", DecimalShort(desk.room.caps.MaxLots()));
   json.Number("max_positions", desk.room.caps.MaxPositions());
   json.Text("journal", desk.room.journal.HealthText());
   json.Number("book", book);
   json.Number("market_ms", desk.room.market.UtcNowMs());
   if(desk.room.market.zone.Known()) json.Number("zone_ms", desk.room.market.zone.OffsetMs());
   json.Number("seq", seq);
   json.Number("dropped", dropped);
   json.Text("note", note);
   return(json.Done());
}

string CQueries::Account(CDesk &desk) {
   CJson json;
   json.Begin();
   json.Text("balance", DecimalOf(AccountBalance(), ORDER_MONEY_DIGITS));
   json.Text("equity", DecimalOf(AccountEquity(), ORDER_MONEY_DIGITS));
   json.Text("margin", DecimalOf(AccountMargin(), ORDER_MONEY_DIGITS));
   json.Text("free_margin", DecimalOf(AccountFreeMargin(), ORDER_MONEY_DIGITS));
   json.Text("profit", DecimalOf(AccountProfit(), ORDER_MONEY_DIGITS));
   double level = AccountMargin() > 0 ? 100 * AccountEquity() / AccountMargin() : 0;
   json.Text("margin_level", level > 0 ? DecimalOf(level, ORDER_MONEY_DIGITS) : "");
   json.Flag("connected", IsConnected());
   json.Number("market_ms", desk.room.market.UtcNowMs());
   json.Number("book", book);
   return(json.Done());
}

//--- a pool may shrink while we walk it: an index that is gone makes the page incomplete
bool CQueries::Select(int index, int pool) {
   if(OrderSelect(index, SELECT_BY_POS, pool)) return(true);
   m_failed = true;
   return(false);
}

bool CQueries::Wanted(CRow &row, int magic, bool positions) {
   if(magic != 0 && row.magic != magic) return(false);
   return(positions ? row.IsMarket() : row.IsPending());
}

//--- the rows of one kind from `first` on, and their total
void CQueries::Trades(CJson &json, CZone &zone, string name, long first, int magic) {
   bool positions = (name == "positions");
   long total = 0;
   int written = 0;
   CRow row;
   json.OpenArray(name);
   for(int i = 0; i < OrdersTotal(); i++) {
      if(!Select(i, MODE_TRADES)) continue;
      if(!row.Take()) m_failed = true;
      if(!Wanted(row, magic, positions)) continue;
      total++;
      if(total <= first || written >= QUERY_ROWS_MAX || json.Size() > QUERY_CHARS_MAX) continue;
      written++;
      json.Raw("", positions ? row.PositionText(zone) : row.OrderText(zone));
   }
   json.Close();
   if(magic == 0) {
      json.Number("total", total);
      json.Flag("complete", !m_failed && IsConnected());
   }
   else if(written < total) m_failed = true;
}

string CQueries::Rows(CHop &hop, CDesk &desk) {
   long first = 0;
   if(!hop.Number(2, first)) return(QueryError("BODY"));
   m_failed = false;
   CJson json;
   json.Begin();
   json.Number("book", book);
   string name = hop.word == "POSITIONS" ? "positions" : "orders";
   Trades(json, desk.room.market.zone, name, first, 0);
   return(json.Done());
}

//--- Shell's sort, ascending: the history pool is in no promised order
void CQueries::Sort(long &keys[]) {
   int count = ArraySize(keys);
   for(int gap = count / 2; gap > 0; gap /= 2)
      for(int i = gap; i < count; i++) {
         long key = keys[i];
         int at = i;
         while(at >= gap && keys[at - gap] > key) {
            keys[at] = keys[at - gap];
            at -= gap;
         }
         keys[at] = key;
      }
}

void CQueries::WriteClosed(CJson &json, int ticket, CDesk &desk, COrigin &origin) {
   if(!OrderSelect(ticket, SELECT_BY_TICKET, MODE_HISTORY) || OrderCloseTime() == 0) {
      m_failed = true;
      return;
   }
   CRow row;
   if(!row.Take()) m_failed = true;
   bool ours = origin.ClosedByUs(desk.room.journal, row.ticket);
   json.Raw("", row.ClosedText(desk.room.market.zone, ours));
}

//--- closed between two times (UTC ms, the ends included; 0 as the second: no end)
string CQueries::History(CHop &hop, CDesk &desk, COrigin &origin) {
   long from = 0, to = 0, first = 0;
   if(!hop.Number(2, from) || !hop.Number(3, to) || !hop.Number(4, first))
      return(QueryError("BODY"));
   from = desk.room.market.zone.FromUtcMs(from);
   to = desk.room.market.zone.FromUtcMs(to);
   m_failed = false;
   long keys[];
   ArrayResize(keys, OrdersHistoryTotal());
   int count = 0;
   for(int i = 0; i < ArraySize(keys); i++) {
      if(!Select(i, MODE_HISTORY)) continue;
      long closed = (long)OrderCloseTime() * 1000;
      if(closed < from || (to > 0 && closed > to)) continue;
      keys[count] = ((long)OrderCloseTime() << QUERY_KEEP_BITS) | OrderTicket();
      count++;
   }
   ArrayResize(keys, count);
   Sort(keys);
   CJson json;
   json.Begin();
   json.OpenArray("closed");
   int written = 0;
   for(long k = first; k < count && written < QUERY_ROWS_MAX && json.Size() <= QUERY_CHARS_MAX;
       k++) {
      WriteClosed(json, (int)(keys[(int)k] & INT_MAX), desk, origin);
      written++;
   }
   json.Close();
   json.Number("total", count);
   json.Number("book", book);
   // The history shows what the user chose to show: a row older than the range proves that all
   // of the range is there.
   bool reaches = from == 0 || desk.room.pools.Reaches(from / 1000);
   json.Flag("complete", !m_failed && IsConnected() && reaches);
   return(json.Done());
}

//--- everything that carries one magic: the evidence for or against an order of ours
string CQueries::Tag(CHop &hop, CDesk &desk, COrigin &origin) {
   long magic = 0;
   if(!hop.Number(2, magic) || magic < 1 || magic > INT_MAX) return(QueryError("BODY"));
   m_failed = false;
   CJson json;
   json.Begin();
   Trades(json, desk.room.market.zone, "positions", 0, (int)magic);
   Trades(json, desk.room.market.zone, "orders", 0, (int)magic);
   json.OpenArray("closed");
   for(int i = 0; i < OrdersHistoryTotal(); i++) {
      if(!Select(i, MODE_HISTORY) || OrderMagicNumber() != magic) continue;
      if(json.Size() > QUERY_CHARS_MAX) m_failed = true;
      else WriteClosed(json, OrderTicket(), desk, origin);
   }
   json.Close();
   json.Number("book", book);
   json.Flag("complete", !m_failed && IsConnected());
   return(json.Done());
}
//+-------------------------------------------------------------------+
