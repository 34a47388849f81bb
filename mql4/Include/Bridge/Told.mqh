//+-------------------------------------------------------------------+
//| Told.mqh: which closed orders need no event any more              |
//|                                                                   |
//| The history is in no promised order and shows what the user chose |
//| to show. A row is news if it closed after `From` and its ticket   |
//| is not remembered here. `From` follows the market's time at ten   |
//| minutes' distance, so that a row that comes late is still seen.   |
//+-------------------------------------------------------------------+
#property strict

#include <Bridge/Row.mqh>

#define TOLD_WINDOW_S 600
#define TOLD_TICKETS  4096

class CTold {
private:
   int m_tickets[];
   long m_from;
   int m_history;  // size of the pool when it was last read

public:
   CTold(void) { Begin(); }
   void Begin(void);
   void Follow(long market);
   bool News(CRow &past[], bool prime);
   void LookAgain(void) { m_history = -1; }
   bool Has(int ticket);
   void Add(int ticket);
};

void CTold::Begin(void) {
   ArrayResize(m_tickets, 0);
   m_from = 0;
   m_history = -1;
}

//--- after a complete look at the history, at this market time (seconds)
void CTold::Follow(long market) {
   if(market - TOLD_WINDOW_S > m_from) m_from = market - TOLD_WINDOW_S;
}

//--- the news of the history, in order of their tickets, if its size changed; when priming,
//--- everything that is there is old. False: the pool changed while we read it
bool CTold::News(CRow &past[], bool prime) {
   int count = OrdersHistoryTotal();
   ArrayResize(past, 0);
   if(count == m_history) return(true);
   for(int i = 0; i < count; i++) {
      if(!OrderSelect(i, SELECT_BY_POS, MODE_HISTORY)) return(false);
      int ticket = OrderTicket();
      if((long)OrderCloseTime() < m_from || Has(ticket)) continue;
      if(prime) {
         Add(ticket);
         continue;
      }
      int at = ArraySize(past);
      ArrayResize(past, at + 1, 16);
      while(at > 0 && past[at - 1].ticket > ticket) {
         past[at].CopyFrom(past[at - 1]);
         at--;
      }
      if(!past[at].Take()) return(false);
   }
   m_history = count;
   return(true);
}

bool CTold::Has(int ticket) {
   for(int i = ArraySize(m_tickets) - 1; i >= 0; i--)
      if(m_tickets[i] == ticket) return(true);
   return(false);
}

//--- the oldest half is forgotten when it gets full: nobody closes so many in ten minutes
void CTold::Add(int ticket) {
   int count = ArraySize(m_tickets);
   if(Has(ticket)) return;
   if(count >= TOLD_TICKETS) {
      int half = count / 2;
      for(int i = 0; i < half; i++) m_tickets[i] = m_tickets[count - half + i];
      count = half;
   }
   ArrayResize(m_tickets, count + 1, TOLD_TICKETS);
   m_tickets[count] = ticket;
}
//+-------------------------------------------------------------------+
