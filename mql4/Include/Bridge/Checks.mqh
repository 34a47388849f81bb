//+------------------------------------------------------------------+
//| Checks.mqh: caps, then each operation's own checks                |
//|                                                                   |
//| In the order of protocol.md 8. Each check answers true, or leaves |
//| the refusal in the word. Nothing is rounded, nothing is guessed.  |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Room.mqh>

class CChecks {
private:
   int    Held(CRoom &room);
   bool   Spec(CRoom &room, string symbol, CSpec &spec, CWord &word);
   bool   TicketOpen(CRoom &room, CRequest &request, COrder &order, CWord &word);
   bool   OpenMay(CRoom &room, CRequest &request, CWord &word);
   bool   CloseMay(CRoom &room, CRequest &request, CWord &word);
   bool   ModifyMay(CRoom &room, CRequest &request, CWord &word);
   bool   PriceMay(CRequest &request, COrder &order, CWord &word);
   bool   StillCurrent(CRoom &room, CRequest &request, COrder &order, CWord &word);
   bool   CancelMay(CRoom &room, CRequest &request, CWord &word);

public:
   bool   May(CRoom &room, CRequest &request, CWord &word);
   bool   PriceHolds(CRoom &room, CRequest &request, CSpec &spec, CWord &word);
};

bool CChecks::May(CRoom &room, CRequest &request, CWord &word) {
   if(request.op == OP_OPEN) return(OpenMay(room, request, word));
   if(request.op == OP_CLOSE) return(CloseMay(room, request, word));
   if(request.op == OP_MODIFY) return(ModifyMay(room, request, word));
   if(request.op == OP_CANCEL) return(CancelMay(room, request, word));
   return(true);
}

bool CChecks::Spec(CRoom &room, string symbol, CSpec &spec, CWord &word) {
   if(room.market.Spec(symbol, spec)) return(true);
   return(word.Refuse(CODE_SYMBOL_UNKNOWN, "", symbol));
}

//--- Positions and resting orders of the account, and entries whose outcome is UNKNOWN and which
//    the broker does not show: each is taken for filled, its worst case.
int CChecks::Held(CRoom &room) {
   CJournalRow row;
   int magic = 0;
   string tag = "";
   int held = room.pools.Entries();
   for(int i = 0; i < room.journal.OpenCount(); i++) {
      if(!room.journal.Find(room.journal.OpenRid(i), row) || row.op != OP_OPEN) continue;
      bool tagged = TagMake(room.keys.Account(), row.rid, magic, tag);
      if(!tagged || !room.pools.HasMagic(magic)) held++;
   }
   return(held);
}

bool CChecks::OpenMay(CRoom &room, CRequest &request, CWord &word) {
   CSpec spec;
   CProposal wanted;
   long volume = request.body.volume;
   wanted.type = OrderTypeOf(request.body.type);
   bool rests = OrderTypeRests(wanted.type);
   wanted.price = rests ? request.body.price : 0;
   wanted.sl = request.body.sl;
   wanted.tp = request.body.tp;
   wanted.expiration = request.body.expiration;
   wanted.sets_price = rests;
   wanted.reference = rests ? 0 : request.body.price;
   return(room.caps.SymbolAllowed(request.body.symbol, word)
          && Spec(room, request.body.symbol, spec, word)
          && room.market.VolumeFits(spec, volume, 0, word)
          && room.caps.VolumeAllowed(volume, word)
          && room.caps.EntriesAllowed(Held(room), word)
          && room.levels.Allow(room.market, spec, wanted, word)
          && PriceHolds(room, request, spec, word));
}

//--- Whether a market order's reference price is still there, within +- deviation: asked at the
//    checks, and again right before the call.
bool CChecks::PriceHolds(CRoom &room, CRequest &request, CSpec &spec, CWord &word) {
   int type = OrderTypeOf(request.body.type);
   if(!room.levels.Refresh(room.market, spec)) return(word.Refuse(CODE_NO_QUOTE, "", spec.symbol));
   if(OrderTypeRests(type) || request.body.price == 0) return(true);
   long gap = room.levels.Fill(type) - request.body.price;
   if(gap < 0) gap = -gap;
   if(gap <= request.body.deviation * spec.point) return(true);
   return(word.Refuse(CODE_PRICE_MOVED, IntegerToString(request.body.deviation),
                      IntegerToString(gap / spec.point)));
}

//--- The open row of the signed ticket, of an allowed symbol.
bool CChecks::TicketOpen(CRoom &room, CRequest &request, COrder &order, CWord &word) {
   bool open = room.pools.ByTicket(request.ticket, order) && order.IsOpen();
   if(!open) return(word.Refuse(CODE_TICKET_UNKNOWN, "", IntegerToString(request.body.ticket)));
   return(room.caps.SymbolAllowed(order.symbol, word));
}

bool CChecks::CloseMay(CRoom &room, CRequest &request, CWord &word) {
   CSpec spec;
   COrder order;
   long volume = request.body.volume;
   // A child names its ticket alone; an order names the symbol too, and must mean this one.
   string symbol = request.body.symbol;
   if(!request.child && !room.caps.SymbolAllowed(symbol, word)) return(false);
   if(!TicketOpen(room, request, order, word)) return(false);
   if(!order.IsMarket() || (!request.child && order.symbol != symbol))
      return(word.Refuse(CODE_TICKET_UNKNOWN, symbol, IntegerToString(request.body.ticket)));
   if(!Spec(room, order.symbol, spec, word)) return(false);
   if(volume > 0 && !room.market.VolumeFits(spec, volume, order.volume, word)) return(false);
   long rest = volume > 0 ? order.volume - volume : 0;
   if(rest > 0 && rest < spec.volume_min)
      return(word.Refuse(CODE_VOLUME_GRID, DecimalShort(order.volume), DecimalShort(volume)));
   if(!room.levels.Refresh(room.market, spec)) return(word.Refuse(CODE_NO_QUOTE, "", spec.symbol));
   return(true);
}

bool CChecks::ModifyMay(CRoom &room, CRequest &request, CWord &word) {
   CSpec spec;
   COrder order;
   CProposal wanted;
   if(!TicketOpen(room, request, order, word)) return(false);
   if(!Spec(room, order.symbol, spec, word)) return(false);
   wanted.type = order.type;
   wanted.price = 0;
   if(order.IsPending())
      wanted.price = request.body.StopsOnly() ? order.open_price : request.body.price;
   wanted.sl = request.body.sl;
   wanted.tp = request.body.tp;
   // A change of stops leaves price and expiration alone, whatever it says of them.
   wanted.expiration = request.body.StopsOnly() ? 0 : request.body.expiration;
   wanted.sets_price = wanted.price != order.open_price;
   wanted.reference = 0;
   if(!PriceMay(request, order, word)) return(false);
   if(!room.levels.Allow(room.market, spec, wanted, word)) return(false);
   if(room.levels.Frozen(spec, order))
      return(word.Refuse(CODE_STOPS_LEVEL, IntegerToString(spec.freeze_level), order.symbol));
   return(StillCurrent(room, request, order, word));
}

//--- A position has no price to set: ignoring one would be guessing what was meant.
bool CChecks::PriceMay(CRequest &request, COrder &order, CWord &word) {
   if(order.IsPending() || request.body.StopsOnly()) return(true);
   return(word.Refuse(CODE_PRICE_SIDE, "0", DecimalShort(request.body.price)));
}

//--- The strategy saw these stops, and no later MODIFY of the ticket was applied.
bool CChecks::StillCurrent(CRoom &room, CRequest &request, COrder &order, CWord &word) {
   long applied = room.state.ModifyIat(order.ticket);
   if(request.token.iat <= applied)
      return(word.Refuse(CODE_SUPERSEDED, IntegerToString(applied),
                         IntegerToString(request.token.iat)));
   if(order.sl == request.body.old_sl && order.tp == request.body.old_tp) return(true);
   return(word.Refuse(CODE_CHANGED,
                      "sl=" + DecimalShort(request.body.old_sl)
                      + " tp=" + DecimalShort(request.body.old_tp),
                      "sl=" + DecimalShort(order.sl) + " tp=" + DecimalShort(order.tp)));
}

bool CChecks::CancelMay(CRoom &room, CRequest &request, CWord &word) {
   COrder order;
   if(!TicketOpen(room, request, order, word)) return(false);
   if(order.IsPending()) return(true);
   return(word.Refuse(CODE_TICKET_UNKNOWN, "", IntegerToString(request.body.ticket)));
}
//+------------------------------------------------------------------+
