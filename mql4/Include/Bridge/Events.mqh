//+-------------------------------------------------------------------+
//| Events.mqh: what happened, found by comparing                     |
//|                                                                   |
//| MetaTrader 4 tells an EA nothing. Each scan compares the orders   |
//| of the terminal with those of the scan before; one that is gone   |
//| is looked up in the history, and a new one that carries on a      |
//| closed one (same symbol, type, magic, open price and time) is its |
//| remainder, not a new position. What opened and closed between two |
//| scans is found in the history alone.                              |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/EventBody.mqh>
#include <Bridge/Origin.mqh>
#include <Bridge/Told.mqh>

#define EVENTS_PATIENCE_MS 2000  // the pools of a terminal do not change at one instant

class CEvents {
private:
   CRow m_rows[];  // the trade pool of the last scan
   CRow m_now[];   // of this one
   CRow m_past[];  // news of the history, in order of their tickets
   CTold m_told;
   CEventBodies m_bodies;
   string m_queue[];
   bool m_primed;
   long m_book;
   string m_money;

   bool ReadNow(void);
   void Prime(CJournal &journal);
   int Find(CRow &rows[], int ticket);
   int Successor(CRow &rows[], CRow &gone, long rest);
   void Push(string json);
   void Gone(CJournal &journal, uint tick);
   bool Explain(CJournal &journal, CRow &was, bool late);
   string Why(CJournal &journal, CRow &end);
   bool Ended(CJournal &journal, CRow &was, CRow &end, bool late);
   bool EndedPart(CJournal &journal, long held, CRow &end, bool late);
   bool Continues(CRow &row, CRow &gone, long rest);
   long Chain(CRow &gone);
   void Passed(CJournal &journal);
   bool Waits(CRow &row);
   void Fresh(CJournal &journal);
   void Compare(CRow &was, CRow &now);
   void Keep(void);

public:
   COrigin origin;

   CEvents(void) { Begin(); }
   void Begin(void);
   long Book(void) { return(m_book); }
   bool Scan(CJournal &journal, uint tick);
   void Account(void);
   void Alert(string level, string code, string message);
   void Follow(CZone &zone) { m_bodies.Follow(zone); }  // before the calls below
   int Count(void) { return(ArraySize(m_queue)); }
   string Take(int index) { return(m_queue[index]); }
   void Forget(void) { ArrayResize(m_queue, 0); }
};

void CEvents::Begin(void) {
   ArrayResize(m_rows, 0);
   ArrayResize(m_now, 0);
   ArrayResize(m_past, 0);
   ArrayResize(m_queue, 0);
   m_told.Begin();
   origin.Begin();
   m_primed = false;
   m_book = 0;
   m_money = "";
}

void CEvents::Push(string json) {
   int count = ArraySize(m_queue);
   ArrayResize(m_queue, count + 1, 16);
   m_queue[count] = json;
}

int CEvents::Find(CRow &rows[], int ticket) {
   for(int i = ArraySize(rows) - 1; i >= 0; i--)
      if(rows[i].ticket == ticket) return(i);
   return(-1);
}

//--- the pool as it is; false: it changed while we read it
bool CEvents::ReadNow(void) {
   int count = OrdersTotal();
   ArrayResize(m_now, count);
   for(int i = 0; i < count; i++) {
      if(!OrderSelect(i, SELECT_BY_POS, MODE_TRADES)) return(false);
      if(!m_now[i].Take()) return(false);
   }
   return(OrdersTotal() == count);
}

//--- what is there when the EA starts is no news: the reader of a new stream asks for the whole
void CEvents::Prime(CJournal &journal) {
   m_told.Follow(TimeCurrent());
   if(!m_told.News(m_past, true)) return;
   origin.Learn(journal, true);
   for(int i = 0; i < ArraySize(m_now); i++) origin.Mark(journal, m_now[i]);
   Keep();
   m_primed = true;
   m_book++;
}

void CEvents::Keep(void) {
   int count = ArraySize(m_now);
   int kept = 0;
   ArrayResize(m_rows, count, 32);
   for(int i = 0; i < count; i++) {
      if(m_now[i].deferred) continue;
      m_rows[kept].CopyFrom(m_now[i]);
      kept++;
   }
   ArrayResize(m_rows, kept, 32);
}

//--- one comparison; `tick` GetTickCount. False: nothing was compared this time
bool CEvents::Scan(CJournal &journal, uint tick) {
   if(!IsConnected() || !ReadNow()) return(false);
   if(!m_primed) {
      Prime(journal);
      return(m_primed);
   }
   if(!m_told.News(m_past, false)) return(false);
   origin.Learn(journal, false);
   int before = ArraySize(m_queue);
   Gone(journal, tick);
   Passed(journal);
   Fresh(journal);
   Keep();
   if(ArraySize(m_queue) != before) m_book++;
   m_told.Follow(TimeCurrent());
   return(true);
}

//--- rows of the last scan that are not in the pool any more; unexplained ones stay a while
void CEvents::Gone(CJournal &journal, uint tick) {
   for(int i = 0; i < ArraySize(m_rows); i++) {
      if(Find(m_now, m_rows[i].ticket) >= 0) continue;
      if(!m_rows[i].missing) {
         m_rows[i].missing = true;
         m_rows[i].since = tick;
      }
      bool late = tick - m_rows[i].since > (uint)EVENTS_PATIENCE_MS;
      if(Explain(journal, m_rows[i], late)) {
         m_told.Add(m_rows[i].ticket);
         continue;
      }
      if(late) {
         Push(m_bodies.Vanished(m_rows[i], TimeCurrent()));
         m_told.Add(m_rows[i].ticket);
         continue;
      }
      m_told.LookAgain();
      int at = ArraySize(m_now);
      ArrayResize(m_now, at + 1);
      m_now[at].CopyFrom(m_rows[i]);
   }
}

bool CEvents::Explain(CJournal &journal, CRow &was, bool late) {
   if(!OrderSelect(was.ticket, SELECT_BY_TICKET, MODE_HISTORY) || OrderCloseTime() == 0)
      return(false);
   CRow end;
   if(!end.Take()) return(false);
   end.Inherit(was);
   return(Ended(journal, was, end, late));
}

//--- `end` is how `was` stands in the history now; false: not the whole story yet
bool CEvents::Ended(CJournal &journal, CRow &was, CRow &end, bool late) {
   if(end.IsPending()) {
      string type = end.Reason(false) == "EXPIRED" ? "order_expired" : "order_cancelled";
      Push(m_bodies.Order(type, end, ""));
      return(true);
   }
   if(was.IsPending())  // it fired and closed between two scans
      Push(m_bodies.Opened(end, true));
   return(EndedPart(journal, was.volume, end, late || was.IsPending()));
}

string CEvents::Why(CJournal &journal, CRow &end) {
   return(end.Reason(origin.ClosedByUs(journal, end.ticket)));
}

//--- tell of the closed lots and follow the rest to its new ticket, through the history if need be
bool CEvents::EndedPart(CJournal &journal, long held, CRow &end, bool late) {
   bool begun = false;
   while(true) {
      long rest = held - end.volume;
      int next = rest > 0 ? Successor(m_now, end, rest) : -1;
      if(next >= 0) {
         m_now[next].Inherit(end);
         m_now[next].follows = true;
         Push(m_bodies.Closed(end, Why(journal, end), rest, m_now[next].ticket));
         break;
      }
      next = rest > 0 ? Successor(m_past, end, rest) : -1;
      if(next < 0 && rest > 0 && !late && !begun) return(false);
      Push(m_bodies.Closed(end, Why(journal, end), rest, next < 0 ? 0 : m_past[next].ticket));
      if(next < 0) break;
      m_told.Add(m_past[next].ticket);
      m_past[next].Inherit(end);
      end.CopyFrom(m_past[next]);
      held = rest;
      begun = true;
   }
   return(true);
}

//--- whether `row` may be what is left of `gone`; `rest` lots, negative: not known
bool CEvents::Continues(CRow &row, CRow &gone, long rest) {
   if(row.follows || row.ticket <= gone.ticket || !row.SameTrade(gone)) return(false);
   if(m_told.Has(row.ticket) || Find(m_rows, row.ticket) >= 0) return(false);
   if(row.FromTicket() != 0 || rest < 0) return(row.FromTicket() == gone.ticket);
   if(!row.IsOpen()) return(row.volume <= rest);
   return(row.volume == rest);
}

int CEvents::Successor(CRow &rows[], CRow &gone, long rest) {
   for(int i = 0; i < ArraySize(rows); i++)
      if(Continues(rows[i], gone, rest)) return(i);
   return(-1);
}

//--- the lots of `gone` before any part of it was closed: its own and those of all that follow it
long CEvents::Chain(CRow &gone) {
   CRow last;
   last.CopyFrom(gone);
   long held = last.volume;
   int next = Successor(m_past, last, -1);
   while(next >= 0) {
      held += m_past[next].volume;
      last.CopyFrom(m_past[next]);
      next = Successor(m_past, last, -1);
   }
   next = Successor(m_now, last, -1);
   return(next >= 0 ? held + m_now[next].volume : held);
}

//--- what came and went between two scans
void CEvents::Passed(CJournal &journal) {
   for(int i = 0; i < ArraySize(m_past); i++) {
      int ticket = m_past[i].ticket;
      if(m_told.Has(ticket) || Find(m_rows, ticket) >= 0 || Find(m_now, ticket) >= 0) continue;
      m_told.Add(ticket);
      if(!m_past[i].IsMarket() && !m_past[i].IsPending())
         continue;  // money moved: account_update tells
      CRow end;
      end.CopyFrom(m_past[i]);
      origin.Mark(journal, end);
      long held = Chain(end);
      if(end.IsPending()) Push(m_bodies.Order("order_placed", end, ""));
      else Push(m_bodies.Opened(end, false));
      CRow was;
      was.CopyFrom(end);
      was.volume = held;
      if(!Ended(journal, was, end, true)) m_told.LookAgain();
   }
}

//--- a row that may be the rest of one that is gone but not explained waits for it
bool CEvents::Waits(CRow &row) {
   for(int i = 0; i < ArraySize(m_rows); i++)
      if(m_rows[i].missing && Find(m_now, m_rows[i].ticket) >= 0 && row.ticket > m_rows[i].ticket
         && row.SameTrade(m_rows[i]))
         return(true);
   return(false);
}

//--- rows that are new, and those that changed
void CEvents::Fresh(CJournal &journal) {
   for(int i = 0; i < ArraySize(m_now); i++) {
      int at = Find(m_rows, m_now[i].ticket);
      if(at >= 0) {
         m_now[i].Inherit(m_rows[at]);
         if(!origin.Complete() && StringLen(m_now[i].rid) == 0) origin.Mark(journal, m_now[i]);
         Compare(m_rows[at], m_now[i]);
         continue;
      }
      if(m_now[i].follows) continue;
      if(Waits(m_now[i])) {
         m_now[i].deferred = true;
         continue;
      }
      origin.Mark(journal, m_now[i]);
      if(m_now[i].IsMarket()) Push(m_bodies.Opened(m_now[i], false));
      else if(m_now[i].IsPending()) Push(m_bodies.Order("order_placed", m_now[i], ""));
   }
}

void CEvents::Compare(CRow &was, CRow &now) {
   if(was.IsPending() && now.IsMarket()) {
      Push(m_bodies.Opened(now, true));
      return;
   }
   bool stops = was.sl != now.sl || was.tp != now.tp;
   if(now.IsMarket() && (stops || was.volume != now.volume))
      Push(m_bodies.Modified(now, TimeCurrent()));
   if(now.IsPending()
      && (stops || was.open_price != now.open_price || was.expiration != now.expiration))
      Push(m_bodies.Order("order_placed", now, "modified"));
}

//--- at most once a second
void CEvents::Account(void) {
   string money = DecimalOf(AccountBalance(), ORDER_MONEY_DIGITS) + " "
                  + DecimalOf(AccountEquity(), ORDER_MONEY_DIGITS) + " "
                  + DecimalOf(AccountMargin(), ORDER_MONEY_DIGITS) + " "
                  + DecimalOf(AccountFreeMargin(), ORDER_MONEY_DIGITS);
   if(money != m_money && StringLen(m_money) > 0) Push(m_bodies.Account());
   m_money = money;
}

void CEvents::Alert(string level, string code, string message) {
   Push(m_bodies.Alert(level, code, message));
}
//+-------------------------------------------------------------------+
