//+------------------------------------------------------------------+
//| Pools.mqh: the broker's two lists, trades and history             |
//|                                                                   |
//| A list can change while it is walked and a selection can fail:    |
//| then the walk was not whole, and absence is not concluded from    |
//| it. The history holds only what the tab Account History shows     |
//| (MQL4 reference, trading/ordershistorytotal).                     |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Order.mqh>

class CPools {
private:
   bool   m_whole;

   void   Match(int pool, int magic, COrder &found[]);
   bool   Follows(COrder &closed, COrder &rest);

public:
          CPools(void) { m_whole = true; }
   bool   ByTicket(int ticket, COrder &order);
   int    ByMagic(int magic, COrder &found[]);
   bool   Whole(void);
   bool   Reaches(long since);
   int    Entries(void);
   bool   HasMagic(int magic);
   bool   OpenTickets(string scope, string symbol, int &tickets[]);
   bool   RestOf(COrder &closed, COrder &rest);
};

//--- The row of a ticket, open or in the visible history.
bool CPools::ByTicket(int ticket, COrder &order) {
   order.Clear();
   if(ticket <= 0 || !OrderSelect(ticket, SELECT_BY_TICKET)) return(false);
   return(order.Read() && order.ticket == ticket);
}

//--- Every row with this magic; Whole() then says whether nothing was missed.
int CPools::ByMagic(int magic, COrder &found[]) {
   ArrayResize(found, 0);
   m_whole = true;
   Match(MODE_TRADES, magic, found);
   Match(MODE_HISTORY, magic, found);
   // An order that moved from one list to the other in between is found by a second look.
   Match(MODE_TRADES, magic, found);
   return(ArraySize(found));
}

void CPools::Match(int pool, int magic, COrder &found[]) {
   int total = pool == MODE_TRADES ? OrdersTotal() : OrdersHistoryTotal();
   for(int i = total - 1; i >= 0; i--) {
      if(!OrderSelect(i, SELECT_BY_POS, pool)) {
         m_whole = false;
         continue;
      }
      if(OrderMagicNumber() != magic) continue;
      int count = ArraySize(found);
      bool known = false;
      for(int k = 0; k < count; k++)
         if(found[k].ticket == OrderTicket()) known = true;
      if(known) continue;
      ArrayResize(found, count + 1);
      if(!found[count].Read()) m_whole = false;
   }
   int after = pool == MODE_TRADES ? OrdersTotal() : OrdersHistoryTotal();
   if(after != total) m_whole = false;
}

//--- Whether the last walk by magic missed nothing.
bool CPools::Whole(void) {
   return(m_whole);
}

//--- Whether the visible history goes back to this market time (seconds): a row that ended at
//    or before it proves that.
bool CPools::Reaches(long since) {
   for(int i = OrdersHistoryTotal() - 1; i >= 0; i--) {
      if(!OrderSelect(i, SELECT_BY_POS, MODE_HISTORY)) continue;
      long ended = (long)OrderCloseTime();
      if(ended == 0) ended = (long)OrderOpenTime();
      if(ended > 0 && ended <= since) return(true);
   }
   return(false);
}

//--- Open positions and resting orders of the account, whoever opened them.
int CPools::Entries(void) {
   return(OrdersTotal());
}

bool CPools::HasMagic(int magic) {
   for(int i = OrdersTotal() - 1; i >= 0; i--)
      if(OrderSelect(i, SELECT_BY_POS, MODE_TRADES) && OrderMagicNumber() == magic) return(true);
   return(false);
}

//--- The tickets that a FLATTEN means: scope PENDINGS, POSITIONS or ALL; "" = every symbol. False:
//    the list changed meanwhile, and a ticket may be missing.
bool CPools::OpenTickets(string scope, string symbol, int &tickets[]) {
   ArrayResize(tickets, 0);
   int total = OrdersTotal();
   for(int i = total - 1; i >= 0; i--) {
      if(!OrderSelect(i, SELECT_BY_POS, MODE_TRADES)) return(false);
      bool rests = OrderTypeRests(OrderType());
      if((scope == "PENDINGS" && !rests) || (scope == "POSITIONS" && rests)) continue;
      if(StringLen(symbol) > 0 && OrderSymbol() != symbol) continue;
      int count = ArraySize(tickets);
      ArrayResize(tickets, count + 1);
      tickets[count] = OrderTicket();
   }
   return(OrdersTotal() == total);
}

//--- What goes on after a partial close: the broker links it by "from #ticket". Where it does
//    not, the newest row with the same magic, symbol, side, open price and open time is it.
bool CPools::RestOf(COrder &closed, COrder &rest) {
   int best = 0;
   for(int i = OrdersTotal() - 1; i >= 0; i--) {
      if(!OrderSelect(i, SELECT_BY_POS, MODE_TRADES)) continue;
      if(OrderTicket() <= closed.ticket || !rest.Read()) continue;
      if(rest.comment == "from #" + IntegerToString(closed.ticket)) return(true);
      if(Follows(closed, rest) && rest.ticket > best) best = rest.ticket;
   }
   return(ByTicket(best, rest));
}

bool CPools::Follows(COrder &closed, COrder &rest) {
   return(StringFind(rest.comment, "from #") != 0 && rest.magic == closed.magic
          && rest.symbol == closed.symbol && rest.type == closed.type
          && rest.open_price == closed.open_price && rest.opened == closed.opened);
}
//+------------------------------------------------------------------+
