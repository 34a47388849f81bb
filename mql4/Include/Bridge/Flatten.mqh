//+------------------------------------------------------------------+
//| Flatten.mqh: one signed FLATTEN, many tickets                     |
//|                                                                   |
//| Each ticket arrives as its own request, with the FLATTEN's frames.|
//| The scope is fixed, in the journal, when the FLATTEN is first     |
//| seen: whoever relays it can add no ticket to it. A child may      |
//| begin until FLATTEN_WINDOW_MS after the deadline, also after a    |
//| restart.                                                          |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Room.mqh>

#define FLATTEN_WALKS 5                // of the list of trades, until one was not disturbed

class CFlattener {
private:
   bool   Fix(CRoom &room, CRequest &request, int &tickets[], CWord &word);
   bool   ParentIsDead(CRoom &room, string rid);

public:
   bool   IsSeen(CRoom &room, string rid);
   bool   Adopt(CRoom &room, CRequest &request, long ticket);
   bool   InScope(CRoom &room, CRequest &request, CWord &word);
};

//--- Whether the scope of this FLATTEN is fixed.
bool CFlattener::IsSeen(CRoom &room, string rid) {
   int tickets[];
   long seen_ms = 0;
   return(room.journal.FlattenTickets(rid, tickets, seen_ms));
}

//--- Make a verified FLATTEN the request of one of its children: CANCEL of what rests now, CLOSE
//    of anything else. False: no such child can be.
bool CFlattener::Adopt(CRoom &room, CRequest &request, long ticket) {
   COrder order;
   string child = "";
   if(request.op != OP_FLATTEN || ticket <= 0 || ticket > INT_MAX) return(false);
   if(!TagChildRid(request.rid, ticket, child)) return(false);
   bool rests = room.pools.ByTicket((int)ticket, order) && order.IsPending();
   request.BecomeChild(child, rests ? OP_CANCEL : OP_CLOSE, (int)ticket, order.symbol);
   return(true);
}

//--- Whether a child belongs to its FLATTEN; the scope is fixed here if it is not yet. Other
//    requests pass.
bool CFlattener::InScope(CRoom &room, CRequest &request, CWord &word) {
   int tickets[];
   long seen_ms = 0;
   if(request.token.op != OP_FLATTEN) return(true);
   if(ParentIsDead(room, request.token.rid)) return(word.Refuse(CODE_FENCED, "", ""));
   if(!room.journal.FlattenTickets(request.token.rid, tickets, seen_ms)
      && !Fix(room, request, tickets, word))
      return(false);
   if(!request.child) return(true);
   for(int i = 0; i < ArraySize(tickets); i++)
      if(tickets[i] == request.ticket) return(true);
   return(word.Refuse(CODE_TICKET_UNKNOWN, "", IntegerToString(request.ticket)));
}

//--- A scope with a ticket missing would call the FLATTEN done while something is open.
bool CFlattener::Fix(CRoom &room, CRequest &request, int &tickets[], CWord &word) {
   string symbol = request.child ? request.flatten_symbol : request.body.symbol;
   bool whole = false;
   for(int i = 0; i < FLATTEN_WALKS && !whole; i++)
      whole = room.pools.OpenTickets(request.body.scope, symbol, tickets);
   if(!whole) return(word.Refuse(CODE_BROKER_BUSY, "", ""));
   if(room.journal.Flatten(request.token.rid, tickets, room.clock.WallMs())) return(true);
   return(word.Refuse(CODE_JOURNAL_FULL, "", ""));
}

//--- A FLATTEN that was fenced, or has its word already, begins no child any more.
bool CFlattener::ParentIsDead(CRoom &room, string rid) {
   return(room.journal.Ended(rid));
}
//+------------------------------------------------------------------+
