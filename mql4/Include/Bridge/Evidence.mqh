//+------------------------------------------------------------------+
//| Evidence.mqh: what the broker's own records say of a request      |
//|                                                                   |
//| An entry is known by its tag, a CLOSE, MODIFY or CANCEL by its    |
//| ticket (MetaTrader 4 marks none of them). One look answers one of |
//| three: known (the outcome is in the word), nothing (all that      |
//| could be seen was seen, and nothing happened) or blind.           |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Facts.mqh>

#define LOOK_BLIND 0
#define LOOK_NOTHING 1
#define LOOK_KNOWN 2
#define EVIDENCE_ROWS 1000             // newest rows of the journal that may have ended a ticket

#define CAUSE_OPERATOR "OPERATOR"

class CEvidence {
private:
   CFacts m_facts;

   int    LookOpen(CRoom &room, CRequest &request, CWord &word);
   int    LookClose(CRoom &room, CRequest &request, CWord &word);
   int    LookModify(CRoom &room, CRequest &request, CWord &word);
   int    LookCancel(CRoom &room, CRequest &request, CWord &word);
   int    LookFlatten(CRoom &room, CRequest &request, CWord &word);
   int    LookResume(CRoom &room, CRequest &request, CWord &word);
   int    Sum(COrder &found[], long &volume, bool &split);
   int    Gone(CWord &word);
   bool   OthersDid(CRoom &room, CRequest &request);
   int    Modified(CRoom &room, CRequest &request, COrder &order, CWord &word);
   bool   ChildPending(CRoom &room, string rid, int ticket);

public:
   int    Look(CRoom &room, CRequest &request, CWord &word);
   bool   AsWanted(CRoom &room, CRequest &request, COrder &order);
   string Before(COrder &order);
   bool   StillOpen(CRoom &room, int ticket);
   int    TagSeen(CRoom &room, string rid);
};

//--- One look, only as good as the terminal's view: blind while it is not connected to the
//    right account. What is found is believed only of a request whose intent is on file.
int CEvidence::Look(CRoom &room, CRequest &request, CWord &word) {
   int seen = LOOK_BLIND;
   word.ClearNumbers();
   word.code = CODE_NONE;
   if(request.op == OP_RESUME) seen = LookResume(room, request, word);
   else if(!room.CanSee()) seen = LOOK_BLIND;
   else if(request.op == OP_OPEN) seen = LookOpen(room, request, word);
   else if(request.op == OP_CLOSE) seen = LookClose(room, request, word);
   else if(request.op == OP_MODIFY) seen = LookModify(room, request, word);
   else if(request.op == OP_CANCEL) seen = LookCancel(room, request, word);
   else if(request.op == OP_FLATTEN) seen = LookFlatten(room, request, word);
   if(seen == LOOK_KNOWN && !request.begun) seen = LOOK_BLIND;
   if(seen != LOOK_KNOWN) word.Unknown(request.rid);
   return(seen);
}

//--- Orders and history by magic. Parts of one entry add up; where a part lies beyond the
//    visible history, the sum is short and nothing is concluded.
int CEvidence::LookOpen(CRoom &room, CRequest &request, CWord &word) {
   COrder found[];
   int magic = 0;
   string tag = "";
   if(!TagMake(room.keys.Account(), request.rid, magic, tag)) return(LOOK_BLIND);
   if(room.pools.ByMagic(magic, found) == 0) {
      bool complete = room.pools.Whole() && room.pools.Reaches(request.market_ms / 1000);
      return(complete ? LOOK_NOTHING : LOOK_BLIND);
   }
   long volume = 0;
   bool split = false;
   int first = Sum(found, volume, split);
   if(split && volume != request.body.volume) return(LOOK_BLIND);
   return(m_facts.Entered(request, found[first], volume, word) ? LOOK_KNOWN : LOOK_BLIND);
}

//--- The index of the oldest ticket, the volume of all, and whether one was closed in part.
int CEvidence::Sum(COrder &found[], long &volume, bool &split) {
   int first = 0;
   for(int i = 0; i < ArraySize(found); i++) {
      volume += found[i].volume;
      if(StringFind(found[i].comment, "from #") == 0 || found[i].WasSplit()) split = true;
      if(found[i].ticket < found[first].ticket) first = i;
   }
   return(first);
}

//--- The ticket ended otherwise, so this request can have done nothing and never will.
int CEvidence::Gone(CWord &word) {
   word.status = STATUS_REJECTED;
   word.code = CODE_INVALID_TICKET;
   return(LOOK_KNOWN);
}

//--- Whether another request is on file as the one that ended this ticket: then this one did not.
bool CEvidence::OthersDid(CRoom &room, CRequest &request) {
   CJournalRow row;
   int rows = room.journal.Rows();
   for(int i = rows - 1; i >= 0 && i >= rows - EVIDENCE_ROWS; i--) {
      if(room.journal.TicketAt(i) != request.ticket) continue;
      string rid = room.journal.RidAt(i);
      if(rid == request.rid || !room.journal.Find(rid, row)) continue;
      if(!row.begun || !row.ended) continue;
      if(row.op != OP_CLOSE && row.op != OP_CANCEL) continue;
      if(row.status != STATUS_DENIED && row.status != STATUS_REJECTED) return(true);
   }
   return(false);
}

//--- Any close, whole or in part, moves the ticket to the history: while it is open, nothing
//    was closed.
int CEvidence::LookClose(CRoom &room, CRequest &request, CWord &word) {
   COrder order;
   if(!room.pools.ByTicket(request.ticket, order)) return(LOOK_BLIND);
   if(order.IsOpen()) return(LOOK_NOTHING);
   if(order.ClosedByBroker() || order.closed < request.market_ms / 1000) return(Gone(word));
   if(OthersDid(room, request)) return(Gone(word));
   long wanted = request.body.volume;
   if(wanted == 0 && order.WasSplit()) return(Gone(word));
   if(wanted > 0 && order.volume > wanted) return(Gone(word));
   m_facts.OfClose(room, order, word);
   word.status = wanted > 0 && order.volume < wanted ? STATUS_PARTIAL : STATUS_FILLED;
   return(LOOK_KNOWN);
}

//--- What a MODIFY has to find again to be told from a change by somebody else.
string CEvidence::Before(COrder &order) {
   return(IntegerToString(order.open_price) + "/" + IntegerToString(order.expiration));
}

//--- Whether sl, tp and, where they are asked for, price and expiration are as signed.
bool CEvidence::AsWanted(CRoom &room, CRequest &request, COrder &order) {
   if(order.sl != request.body.sl || order.tp != request.body.tp) return(false);
   if(request.body.StopsOnly()) return(true);
   return(order.IsPending() && order.open_price == request.body.price
          && room.market.zone.ToUtcMs(1000 * order.expiration) == request.body.expiration);
}

//--- Levels that are neither the old nor the wanted ones prove nothing: somebody else changed
//    them, before or after.
int CEvidence::LookModify(CRoom &room, CRequest &request, CWord &word) {
   COrder order;
   if(!room.pools.ByTicket(request.ticket, order)) return(LOOK_BLIND);
   if(AsWanted(room, request, order)) return(Modified(room, request, order, word));
   if(order.sl != request.body.old_sl || order.tp != request.body.old_tp) return(LOOK_BLIND);
   if(!request.body.StopsOnly() && Before(order) != request.before) return(LOOK_BLIND);
   return(LOOK_NOTHING);
}

int CEvidence::Modified(CRoom &room, CRequest &request, COrder &order, CWord &word) {
   m_facts.OfOrder(order, word);
   word.status = STATUS_DONE;
   if(request.begun && !room.state.ModifyApplied(order.ticket, request.token.iat))
      room.alerts.Raise("warning", "STATE_FILE", "the state file could not be written");
   return(LOOK_KNOWN);
}

int CEvidence::LookCancel(CRoom &room, CRequest &request, CWord &word) {
   COrder order;
   if(!room.pools.ByTicket(request.ticket, order)) return(LOOK_BLIND);
   if(order.IsMarket()) return(Gone(word));            // it was filled first
   if(order.IsOpen()) return(LOOK_NOTHING);
   if(order.closed < request.market_ms / 1000) return(Gone(word));
   if(StringFind(order.comment, "expiration") >= 0 || OthersDid(room, request)) return(Gone(word));
   m_facts.OfOrder(order, word);
   word.status = STATUS_DONE;
   return(LOOK_KNOWN);
}

//--- The whole FLATTEN: done if nothing that was in scope when it was first seen is still open.
int CEvidence::LookFlatten(CRoom &room, CRequest &request, CWord &word) {
   COrder order;
   int tickets[];
   long seen_ms = 0;
   if(!room.journal.FlattenTickets(request.rid, tickets, seen_ms)) return(LOOK_BLIND);
   bool open = false;
   for(int i = 0; i < ArraySize(tickets); i++) {
      if(ChildPending(room, request.rid, tickets[i])) return(LOOK_BLIND);
      if(!room.pools.ByTicket(tickets[i], order)) return(LOOK_BLIND);
      if(StillOpen(room, tickets[i])) open = true;
   }
   word.status = open ? STATUS_PARTIAL : STATUS_DONE;
   word.code = open ? CODE_CHILD_FAILED : CODE_NONE;
   return(LOOK_KNOWN);
}

bool CEvidence::ChildPending(CRoom &room, string rid, int ticket) {
   string child = "";
   if(!TagChildRid(rid, ticket, child)) return(true);
   return(room.journal.Known(child) && !room.journal.Ended(child));
}

//--- Whether a ticket, or what a partial close left of it, is still open.
bool CEvidence::StillOpen(CRoom &room, int ticket) {
   COrder order, rest;
   if(!room.pools.ByTicket(ticket, order)) return(false);
   while(!order.IsOpen()) {
      if(!order.WasSplit() || !room.pools.RestOf(order, rest)) return(false);
      if(!room.pools.ByTicket(rest.ticket, order)) return(false);
   }
   return(true);
}

//--- The state file names the request id that it was last changed by. A cause that is not the
//    Advisor's own has nothing to end here.
int CEvidence::LookResume(CRoom &room, CRequest &request, CWord &word) {
   bool own = request.body.cause == CAUSE_OPERATOR;
   if(own && room.state.Rid() != request.rid) return(LOOK_NOTHING);
   word.status = STATUS_DONE;
   return(LOOK_KNOWN);
}

//--- A request id by its tag alone: known if the broker shows the tag.
int CEvidence::TagSeen(CRoom &room, string rid) {
   COrder found[];
   int magic = 0;
   string tag = "";
   if(!room.CanSee() || !TagMake(room.keys.Account(), rid, magic, tag)) return(LOOK_BLIND);
   if(room.pools.ByMagic(magic, found) > 0) return(LOOK_KNOWN);
   return(room.pools.Whole() ? LOOK_NOTHING : LOOK_BLIND);
}
//+------------------------------------------------------------------+
