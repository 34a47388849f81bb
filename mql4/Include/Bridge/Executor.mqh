//+------------------------------------------------------------------+
//| Executor.mqh: an admitted request is carried out, once            |
//|                                                                   |
//| Intent on disk, time again, BUSY, one broker call, then the       |
//| broker's own numbers: a ticket or a "true" alone is no outcome.   |
//| What no evidence shows is UNKNOWN, and is looked for.             |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Checks.mqh>
#include <Bridge/Reconciler.mqh>

// Between the last look at the clock and the call itself the PC may do something else: an order
// that has no more than this left is taken for late.
#define LAST_MS 10

class CExecutor {
private:
   CChecks     m_checks;
   CEvidence   m_evidence;
   CFacts      m_facts;
   CProtector  m_protector;
   CReconciler m_reconciler;
   CScribe     m_scribe;

   bool   Intend(CRoom &room, CRequest &request, CWord &word);
   bool   Begin(CRoom &room, CHerald &herald, CRequest &request, CWord &word);
   void   Open(CRoom &room, CHerald &herald, CRequest &request, CWord &word);
   bool   Compose(CRoom &room, CRequest &request, CSpec &spec, CEntry &entry);
   void   Entered(CRoom &room, CRequest &request, int ticket, CWord &word);
   void   Close(CRoom &room, CHerald &herald, CRequest &request, CWord &word);
   void   Modify(CRoom &room, CHerald &herald, CRequest &request, CWord &word);
   bool   AlreadySo(CRoom &room, CRequest &request, COrder &order, CWord &word);
   void   Cancel(CRoom &room, CHerald &herald, CRequest &request, CWord &word);
   void   Resume(CRoom &room, CRequest &request, CWord &word);
   void   Flatten(CRoom &room, CRequest &request, CWord &word);
   void   Failed(CRoom &room, CRequest &request, CWord &word);
   void   Look(CRoom &room, CRequest &request, CWord &word);

public:
   void   Run(CRoom &room, CHerald &herald, CRequest &request, CWord &word);
};

void CExecutor::Run(CRoom &room, CHerald &herald, CRequest &request, CWord &word) {
   word.Clear();
   word.rid = request.rid;
   if(request.op == OP_OPEN) Open(room, herald, request, word);
   else if(request.op == OP_CLOSE) Close(room, herald, request, word);
   else if(request.op == OP_MODIFY) Modify(room, herald, request, word);
   else if(request.op == OP_CANCEL) Cancel(room, herald, request, word);
   else if(request.op == OP_RESUME) Resume(room, request, word);
   else Flatten(room, request, word);
}

//--- The intent is on disk before anything begins; without it nothing does.
bool CExecutor::Intend(CRoom &room, CRequest &request, CWord &word) {
   CJournalRow row;
   request.market_ms = room.market.NowMs();
   request.ToRow(row);
   if(room.journal.Intent(row, room.clock.WallMs())) {
      request.begun = true;
      return(true);
   }
   word.Refuse(room.journal.MayAct() ? CODE_JOURNAL_FULL : CODE_JOURNAL_FATAL, "", "");
   return(m_scribe.Deny(room, request, word));
}

//--- Intent, then the time again: flushing takes as long as the disk wants. Then BUSY.
bool CExecutor::Begin(CRoom &room, CHerald &herald, CRequest &request, CWord &word) {
   if(!Intend(room, request, word)) return(false);
   // Without this line a crash would leave a moved price UNKNOWN: safe, so it may fail.
   if(StringLen(request.before) > 0
      && !room.journal.Protect(request.rid, REQUEST_WAS + request.before, true,
                               room.clock.WallMs()))
      room.alerts.Raise("warning", "JOURNAL_" + room.journal.HealthText(), room.journal.Why());
   long now = room.clock.WallMs();
   if(request.deadline.Passed(now + LAST_MS, room.clock.MonoMs() + LAST_MS)) {
      word.Refuse(CODE_EXPIRED, IntegerToString(request.token.Deadline()), IntegerToString(now));
      return(m_scribe.Deny(room, request, word));
   }
   herald.Busy(request.number, request.rid);
   return(true);
}

void CExecutor::Open(CRoom &room, CHerald &herald, CRequest &request, CWord &word) {
   CSpec spec;
   CEntry entry;
   if(!room.market.Spec(request.body.symbol, spec) || !Compose(room, request, spec, entry)) {
      word.Refuse(CODE_SYMBOL_UNKNOWN, "", request.body.symbol);
      m_scribe.Deny(room, request, word);
      return;
   }
   if(!Begin(room, herald, request, word)) return;
   if(!m_checks.PriceHolds(room, request, spec, word)) {
      m_scribe.Deny(room, request, word);
      return;
   }
   // A market order takes only the latest Bid or Ask (MQL4 reference, trading/ordersend).
   if(!OrderTypeRests(entry.type))
      entry.price = DecimalToDouble(room.levels.Fill(entry.type), spec.digits);
   int ticket = room.trader.Open(entry);
   if(ticket > 0) Entered(room, request, ticket, word);
   else Failed(room, request, word);
   if(word.code == CODE_STOPS_NOT_SET) m_protector.Step(room, herald, request.rid, word);
}

//--- What goes to the broker is what was signed, field for field.
bool CExecutor::Compose(CRoom &room, CRequest &request, CSpec &spec, CEntry &entry) {
   string tag = "";
   if(!TagMake(room.keys.Account(), request.rid, entry.magic, tag)) return(false);
   entry.symbol = request.body.symbol;
   entry.type = OrderTypeOf(request.body.type);
   entry.volume = DecimalToDouble(request.body.volume, DECIMAL_PLACES_MAX);
   entry.price = DecimalToDouble(request.body.price, spec.digits);
   entry.deviation = request.body.deviation;
   entry.sl = DecimalToDouble(request.body.sl, spec.digits);
   entry.tp = DecimalToDouble(request.body.tp, spec.digits);
   entry.comment = TagComment(tag, request.body.comment);
   entry.expiration = (datetime)(room.market.zone.FromUtcMs(request.body.expiration) / 1000);
   if(room.market_execution && !OrderTypeRests(entry.type)) {
      entry.sl = 0;
      entry.tp = 0;
   }
   return(true);
}

//--- The broker gave a ticket: what stands under it is the outcome.
void CExecutor::Entered(CRoom &room, CRequest &request, int ticket, CWord &word) {
   COrder order;
   bool shown = room.pools.ByTicket(ticket, order)
                && m_facts.Entered(request, order, order.volume, word);
   if(shown) m_reconciler.Conclude(room, request, word);
   else Look(room, request, word);
}

void CExecutor::Close(CRoom &room, CHerald &herald, CRequest &request, CWord &word) {
   CSpec spec;
   COrder order;
   if(!room.pools.ByTicket(request.ticket, order) || !room.market.Spec(order.symbol, spec)) {
      word.Refuse(CODE_TICKET_UNKNOWN, "", IntegerToString(request.ticket));
      m_scribe.Deny(room, request, word);
      return;
   }
   if(!Begin(room, herald, request, word)) return;
   if(!room.levels.Refresh(room.market, spec)) {
      word.Refuse(CODE_NO_QUOTE, "", spec.symbol);
      m_scribe.Deny(room, request, word);
      return;
   }
   long volume = request.body.volume > 0 ? request.body.volume : order.volume;
   long price = room.levels.Fill(order.Buys() ? OP_SELL : OP_BUY);
   bool closed = room.trader.Close(order.ticket, DecimalToDouble(volume, DECIMAL_PLACES_MAX),
                                   DecimalToDouble(price, spec.digits), request.body.deviation);
   if(closed) Look(room, request, word);
   else Failed(room, request, word);
}

void CExecutor::Modify(CRoom &room, CHerald &herald, CRequest &request, CWord &word) {
   COrder order;
   if(!room.pools.ByTicket(request.ticket, order)) {
      word.Refuse(CODE_TICKET_UNKNOWN, "", IntegerToString(request.ticket));
      m_scribe.Deny(room, request, word);
      return;
   }
   if(m_evidence.AsWanted(room, request, order)) {
      AlreadySo(room, request, order, word);
      return;
   }
   if(!request.body.StopsOnly()) request.before = m_evidence.Before(order);
   if(!Begin(room, herald, request, word)) return;
   bool stops_only = request.body.StopsOnly();
   long price = stops_only ? order.open_price : request.body.price;
   long expiration = order.expiration;
   if(!stops_only) expiration = room.market.zone.FromUtcMs(request.body.expiration) / 1000;
   bool modified = room.trader.Modify(order.ticket, DecimalToDouble(price, order.digits),
                                      DecimalToDouble(request.body.sl, order.digits),
                                      DecimalToDouble(request.body.tp, order.digits),
                                      (datetime)expiration);
   if(modified) Look(room, request, word);
   else Failed(room, request, word);
}

//--- Everything is as it is wanted: the broker would answer error 1, "no result", which proves
//    nothing, so it is not asked.
bool CExecutor::AlreadySo(CRoom &room, CRequest &request, COrder &order, CWord &word) {
   m_facts.OfOrder(order, word);
   word.status = STATUS_DONE;
   bool kept = room.state.ModifyApplied(order.ticket, request.token.iat);
   return(m_scribe.Finish(room, request, word) && kept);
}

void CExecutor::Cancel(CRoom &room, CHerald &herald, CRequest &request, CWord &word) {
   if(!Begin(room, herald, request, word)) return;
   if(room.trader.Cancel(request.ticket)) Look(room, request, word);
   else Failed(room, request, word);
}

//--- The state changes on disk first. Only cause OPERATOR is the Advisor's own; for any other the
//    operator's word is taken, and there is nothing to end here.
void CExecutor::Resume(CRoom &room, CRequest &request, CWord &word) {
   if(!Intend(room, request, word)) return;
   if(request.body.cause == CAUSE_OPERATOR && !room.state.Resume(request.rid)) {
      word.Refuse(CODE_JOURNAL_FULL, "", "");
      m_scribe.Deny(room, request, word);
      return;
   }
   Look(room, request, word);
}

//--- The word about the whole: nothing is sent to the broker for it.
void CExecutor::Flatten(CRoom &room, CRequest &request, CWord &word) {
   if(Intend(room, request, word)) Look(room, request, word);
}

//--- The broker said no, or nobody knows.
void CExecutor::Failed(CRoom &room, CRequest &request, CWord &word) {
   int error = room.trader.Error();
   string code = room.errors.Rejection(error);
   word.retcode = error;
   if(StringLen(code) == 0) {
      Look(room, request, word);
      return;
   }
   word.status = STATUS_REJECTED;
   word.code = code;
   word.symbol = request.body.symbol;
   word.type = request.body.type;
   word.ticket = request.ticket;
   m_scribe.Finish(room, request, word);
}

//--- One look at once; without an outcome the request is watched until there is evidence.
void CExecutor::Look(CRoom &room, CRequest &request, CWord &word) {
   if(m_evidence.Look(room, request, word) == LOOK_KNOWN) {
      m_reconciler.Conclude(room, request, word);
      return;
   }
   room.alerts.Raise("warning", CODE_RECONCILING, "outcome unknown: " + request.op + " "
                     + request.rid + ", error " + IntegerToString(word.retcode));
   if(!room.watch.Begun(request.rid))
      room.alerts.Raise("error", CODE_RECONCILING, "too many orders of unknown outcome");
}
//+------------------------------------------------------------------+
