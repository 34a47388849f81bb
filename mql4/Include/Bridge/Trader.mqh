//+------------------------------------------------------------------+
//| Trader.mqh: the four broker calls, each made once                 |
//|                                                                   |
//| Nothing is tried again here: a requote, a busy broker, a timeout  |
//| are outcomes. The caller knows what the error code proves.        |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Clock.mqh>
#include <Bridge/Deadline.mqh>

#define TRADER_WAIT_MS 2000            // for the trade context, well under a stale heartbeat (3 s)
#define TRADER_NAP_MS 10

class CEntry {
public:
   string   symbol;
   string   comment;
   int      type;
   int      deviation;        // points
   int      magic;
   double   volume;           // lots
   double   price;
   double   sl;
   double   tp;
   datetime expiration;       // the broker's time; 0: none
};

class CTrader {
private:
   int    m_error;

public:
          CTrader(void) { m_error = 0; }
   int    Error(void);
   bool   AwaitContext(CClock &clock, CDeadline &deadline);
   int    Open(CEntry &entry);
   bool   Close(int ticket, double volume, double price, int deviation);
   bool   Modify(int ticket, double price, double sl, double tp, datetime expiration);
   bool   Cancel(int ticket);
};

//--- The error code of the last call, 0 after a success.
int CTrader::Error(void) {
   return(m_error);
}

//--- Wait until no other program of this terminal trades: only before the one attempt, never
//    past the deadline. False: still busy, and nothing has begun.
bool CTrader::AwaitContext(CClock &clock, CDeadline &deadline) {
   long until = clock.MonoMs() + TRADER_WAIT_MS;
   while(IsTradeContextBusy()) {
      if(clock.MonoMs() >= until || IsStopped()) return(false);
      if(deadline.Passed(clock.WallMs(), clock.MonoMs())) return(false);
      Sleep(TRADER_NAP_MS);
   }
   return(true);
}

//--- The new ticket, or -1.
int CTrader::Open(CEntry &entry) {
   ResetLastError();
   int ticket = OrderSend(entry.symbol, entry.type, entry.volume, entry.price, entry.deviation,
                          entry.sl, entry.tp, entry.comment, entry.magic, entry.expiration,
                          clrNONE);
   m_error = ticket > 0 ? 0 : GetLastError();
   return(ticket > 0 ? ticket : -1);
}

bool CTrader::Close(int ticket, double volume, double price, int deviation) {
   ResetLastError();
   bool closed = OrderClose(ticket, volume, price, deviation, clrNONE);
   m_error = closed ? 0 : GetLastError();
   return(closed);
}

bool CTrader::Modify(int ticket, double price, double sl, double tp, datetime expiration) {
   ResetLastError();
   bool modified = OrderModify(ticket, price, sl, tp, expiration, clrNONE);
   m_error = modified ? 0 : GetLastError();
   return(modified);
}

bool CTrader::Cancel(int ticket) {
   ResetLastError();
   bool deleted = OrderDelete(ticket, clrNONE);
   m_error = deleted ? 0 : GetLastError();
   return(deleted);
}
//+------------------------------------------------------------------+
