//+------------------------------------------------------------------+
//| Protector.mqh: stops after the entry                              |
//|                                                                   |
//| Market-execution accounts take no stops with the entry. The step  |
//| that sets them, or closes where `stops_fail` says so, is in the   |
//| journal and is completed also after a restart or the deadline:    |
//| it only reduces risk. Until then FILLED carries STOPS_NOT_SET.    |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Evidence.mqh>
#include <Bridge/Scribe.mqh>

#define PROTECT_SET "SET"
#define PROTECT_CLOSE "CLOSE"
#define PROTECT_TRIES 5                // refusals that may pass, before stops_fail = CLOSE closes

class CProtector {
private:
   CFacts  m_facts;
   CScribe m_scribe;

   bool   Phase(string data, string &phase, int &ticket);
   void   SetStops(CRoom &room, CRequest &request, COrder &order, CWord &word);
   void   CloseUnprotected(CRoom &room, CRequest &request, COrder &order);
   void   Refused(CRoom &room, CRequest &request, COrder &order, int error);
   void   Done(CRoom &room, string rid);
   bool   Protected(CRoom &room, CRequest &request, COrder &order, CWord &word);
   void   Write(CRoom &room, string rid, string data, bool done);

public:
   bool   Needed(CRoom &room, CRequest &request, CWord &word);
   void   Begin(CRoom &room, CRequest &request, CWord &word);
   bool   Step(CRoom &room, CHerald &herald, string rid, CWord &word);
   bool   Turn(CRoom &room, CHerald &herald);
};

//--- Whether an entry that is known was filled without the stops that were signed.
bool CProtector::Needed(CRoom &room, CRequest &request, CWord &word) {
   COrder order;
   if(request.op != OP_OPEN || (request.body.sl == 0 && request.body.tp == 0)) return(false);
   if(word.status != STATUS_FILLED && word.status != STATUS_PARTIAL) return(false);
   if(!room.pools.ByTicket((int)word.ticket, order)) return(false);
   return(order.IsOpen() && order.IsMarket() && order.sl == 0 && order.tp == 0);
}

//--- Put the step on file; the caller then finishes the word.
void CProtector::Begin(CRoom &room, CRequest &request, CWord &word) {
   word.code = CODE_STOPS_NOT_SET;
   Write(room, request.rid, PROTECT_SET + " " + IntegerToString(word.ticket), false);
}

void CProtector::Write(CRoom &room, string rid, string data, bool done) {
   if(!room.journal.Protect(rid, data, done, room.clock.WallMs()))
      room.alerts.Raise("error", "JOURNAL_" + room.journal.HealthText(), room.journal.Why());
}

//--- One step of the first one that is due; true if a broker call was made.
bool CProtector::Turn(CRoom &room, CHerald &herald) {
   CWord word;
   for(int i = 0; i < room.journal.ProtectCount(); i++) {
      string rid = room.journal.ProtectRid(i);
      if(room.pace.IsDue(rid, room.clock.MonoMs())) return(Step(room, herald, rid, word));
   }
   return(false);
}

//--- Look at the position first, then act once if it still needs it. `word` is the order's word
//    as it now stands.
bool CProtector::Step(CRoom &room, CHerald &herald, string rid, CWord &word) {
   CJournalRow row;
   CRequest request;
   COrder order;
   string phase, wanted, found;
   int ticket = 0;
   room.pace.Later(rid, room.clock.MonoMs());
   if(!room.journal.Find(rid, row) || !row.ended || !request.RestoreRow(row)) return(false);
   if(!word.Read(row.word) || !Phase(row.protect, phase, ticket)) return(false);
   if(!room.CanSee() || !room.pools.ByTicket(ticket, order)) return(false);
   if(Protected(room, request, order, word)) return(false);
   if(!order.IsOpen() || order.sl != 0 || order.tp != 0) {
      Done(room, rid);                             // it is gone, or a person set other stops
      return(false);
   }
   if(room.account.IsBusy() || StringLen(room.account.Refusal(wanted, found)) > 0) return(false);
   int tries = room.pace.Tried(rid, room.clock.MonoMs());
   herald.Busy(0, rid);
   if(phase == PROTECT_CLOSE) CloseUnprotected(room, request, order);
   else SetStops(room, request, order, word);
   if(tries == 1 && word.code == CODE_STOPS_NOT_SET)
      room.alerts.Raise("warning", CODE_STOPS_NOT_SET, "filled without sl and tp: " + rid);
   return(true);
}

//--- If the stops stand as signed the step is done, and the order's word says so from now on.
bool CProtector::Protected(CRoom &room, CRequest &request, COrder &order, CWord &word) {
   if(order.sl != request.body.sl || order.tp != request.body.tp) return(false);
   string filled = word.volume;
   m_facts.OfOrder(order, word);
   word.volume = filled;
   word.code = CODE_NONE;
   m_scribe.Finish(room, request, word);
   Done(room, request.rid);
   return(true);
}

void CProtector::SetStops(CRoom &room, CRequest &request, COrder &order, CWord &word) {
   bool set = room.trader.Modify(order.ticket, DecimalToDouble(order.open_price, order.digits),
                                 DecimalToDouble(request.body.sl, order.digits),
                                 DecimalToDouble(request.body.tp, order.digits), 0);
   if(set && room.pools.ByTicket(order.ticket, order) && Protected(room, request, order, word))
      return;
   if(!set) Refused(room, request, order, room.trader.Error());
}

//--- An error that proves nothing is looked at again, and then the stops stand or do not.
void CProtector::Refused(CRoom &room, CRequest &request, COrder &order, int error) {
   string about = request.rid + " ticket " + IntegerToString(order.ticket) + ": error "
                  + IntegerToString(error);
   bool closes = request.body.stops_fail == "CLOSE";
   bool patient = !closes || room.pace.Tries(request.rid) < PROTECT_TRIES;
   if(room.errors.Passing(error) && patient) return;
   if(closes) {
      Write(room, request.rid, PROTECT_CLOSE + " " + IntegerToString(order.ticket), false);
      room.pace.Again(request.rid);
      room.alerts.Raise("error", CODE_STOPS_NOT_SET, "closing what cannot be protected: " + about);
      return;
   }
   Done(room, request.rid);
   room.alerts.Raise("error", CODE_STOPS_NOT_SET, "kept without sl and tp: " + about);
}

void CProtector::CloseUnprotected(CRoom &room, CRequest &request, COrder &order) {
   CSpec spec;
   long bid = 0;
   long ask = 0;
   if(!room.market.Spec(order.symbol, spec) || !room.market.Quote(spec, bid, ask)) return;
   bool closed = room.trader.Close(order.ticket, DecimalToDouble(order.volume, DECIMAL_PLACES_MAX),
                                   DecimalToDouble(order.Buys() ? bid : ask, order.digits),
                                   DEVIATION_POINTS_MAX);
   if(closed && room.pools.ByTicket(order.ticket, order) && !order.IsOpen())
      Done(room, request.rid);
}

void CProtector::Done(CRoom &room, string rid) {
   Write(room, rid, "END", true);
   room.pace.Forget(rid);
}

//--- "SET 1001" or "CLOSE 1001".
bool CProtector::Phase(string data, string &phase, int &ticket) {
   string parts[];
   long number = 0;
   if(StringSplit(data, ' ', parts) != 2 || !TextIsNatural(parts[1], number)) return(false);
   phase = parts[0];
   ticket = (int)number;
   return(phase == PROTECT_SET || phase == PROTECT_CLOSE);
}
//+------------------------------------------------------------------+
