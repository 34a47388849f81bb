//+------------------------------------------------------------------+
//| Facts.mqh: the broker's row becomes the numbers of an answer      |
//|                                                                   |
//| Never what was asked for: what the broker shows afterwards.       |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Room.mqh>

class CFacts {
private:
   void   Common(COrder &order, CWord &word);

public:
   void   OfOrder(COrder &order, CWord &word);
   void   OfClose(CRoom &room, COrder &order, CWord &word);
   bool   Entered(CRequest &request, COrder &order, long volume, CWord &word);
};

void CFacts::Common(COrder &order, CWord &word) {
   word.symbol = order.symbol;
   word.type = OrderTypeText(order.type);
   word.ticket = order.ticket;
   word.order = order.ticket;
   word.volume = DecimalShort(order.volume);
   word.price = order.Price(order.open_price);
   word.sl = order.Price(order.sl);
   word.tp = order.Price(order.tp);
   word.comment = order.comment;
}

//--- An open position or a resting order, as it stands.
void CFacts::OfOrder(COrder &order, CWord &word) {
   Common(order, word);
   if(order.IsMarket()) word.deal = order.ticket;
}

//--- A closed position: what was closed, for how much, and what goes on under a new ticket.
void CFacts::OfClose(CRoom &room, COrder &order, CWord &word) {
   COrder rest;
   Common(order, word);
   word.deal = order.ticket;
   word.close_price = order.Price(order.close_price);
   word.profit = DecimalOf(order.profit, ORDER_MONEY_DIGITS);
   word.swap = DecimalOf(order.swap, ORDER_MONEY_DIGITS);
   word.commission = DecimalOf(order.commission, ORDER_MONEY_DIGITS);
   if(!room.pools.RestOf(order, rest)) return;
   word.remaining_volume = DecimalShort(rest.volume);
   word.remaining_ticket = rest.ticket;
}

//--- Say what an entry became; `volume` is what was filled over all rows of it. False: what is
//    there does not fit what was signed, so it is no evidence about it.
bool CFacts::Entered(CRequest &request, COrder &order, long volume, CWord &word) {
   int type = OrderTypeOf(request.body.type);
   if(order.symbol != request.body.symbol || order.Buys() != OrderTypeBuys(type)) return(false);
   if(order.IsPending() && order.type != type) return(false);
   if(volume > request.body.volume) return(false);
   OfOrder(order, word);
   word.volume = DecimalShort(volume);
   word.status = STATUS_FILLED;
   if(order.IsPending()) word.status = STATUS_WORKING;
   else if(volume < request.body.volume) word.status = STATUS_PARTIAL;
   return(true);
}
//+------------------------------------------------------------------+
