//+------------------------------------------------------------------+
//| Admission.mqh: who may ask for what, and when                     |
//|                                                                   |
//| The order of protocol.md 14, from top to bottom. Before the MAC   |
//| holds nothing is parsed, remembered or answered; after it every   |
//| answer is signed. A refusal is a value.                           |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Checks.mqh>
#include <Bridge/Flatten.mqh>
#include <Bridge/Reconciler.mqh>

class CAdmission {
private:
   CChecks     m_checks;
   CEvidence   m_evidence;
   CScribe     m_scribe;
   CReconciler m_reconciler;
   CFlattener  m_flattener;

   bool   MacHeld(CRoom &room, const uchar &token[], const uchar &body[], CRequest &request);
   bool   IsKnown(CRoom &room, CRequest &request, CWord &word);
   bool   SameBytes(CRoom &room, CRequest &request);
   bool   BodyIsStrict(CRequest &request, CWord &word);
   bool   AccountMay(CRoom &room, CRequest &request, CWord &word);
   bool   StateMay(CRoom &room, CRequest &request, CWord &word);

public:
   bool   Verify(CRoom &room, const uchar &token[], const uchar &body[], CRequest &request);
   bool   InTime(CRoom &room, CRequest &request, CWord &word);
   bool   Judge(CRoom &room, CRequest &request, CWord &word);
};

//--- Shape, sizes, token, key set, alias, scope, MAC: false is silence. From here on the request
//    is somebody's word.
bool CAdmission::Verify(CRoom &room, const uchar &token[], const uchar &body[],
                        CRequest &request) {
   request.Clear();
   if(ArraySize(token) < 1 || ArraySize(token) > TOKEN_BYTES_MAX) return(false);
   if(ArraySize(body) < 1 || ArraySize(body) > BODY_BYTES_MAX) return(false);
   if(room.keys.Paper() || !request.token.Parse(token)) return(false);
   if(request.token.acct != room.keys.Account()) return(false);
   if(!MacHeld(room, token, body, request)) return(false);
   request.Take(token, body);
   long now = room.clock.WallMs();
   long until = request.token.Deadline();
   if(request.op == OP_FLATTEN) until += FLATTEN_WINDOW_MS;
   request.deadline.Set(until, now, room.clock.MonoMs());
   return(true);
}

bool CAdmission::MacHeld(CRoom &room, const uchar &token[], const uchar &body[],
                         CRequest &request) {
   uchar key[], head[];
   string purpose = PURPOSE_ORDER_EA;
   int set = room.keys.Find(request.token.kid);
   bool granted = set >= 0 && room.keys.Purpose(set, request.token.op, purpose)
                  && room.keys.OrderKey(set, key);
   // Without a key the same work is done, so that time does not tell whether a set exists.
   if(!granted) {
      BytesWipe(key);
      ArrayResize(key, 0);
      purpose = PURPOSE_ORDER_EA;
   }
   request.token.Head(token, head);
   bool held = MacHolds(key, purpose, head, body, request.token.mac_ea);
   BytesWipe(key);
   return(granted && held && MacOrderHash(head, body, request.order_hash));
}

//--- From the known request id to the operation's own checks. True: it may begin. False: `word`
//    is the answer.
bool CAdmission::Judge(CRoom &room, CRequest &request, CWord &word) {
   if(IsKnown(room, request, word)) return(false);
   if(m_reconciler.IsFenced(room, request)) {
      m_reconciler.Fence(room, request, word);
      return(false);
   }
   word.Clear();
   bool may = InTime(room, request, word)
              && BodyIsStrict(request, word)
              && AccountMay(room, request, word)
              && StateMay(room, request, word)
              && m_flattener.InScope(room, request, word)
              && m_checks.May(room, request, word);
   if(!may) m_scribe.Deny(room, request, word);
   return(may);
}

//--- A request id that is known gets its word, UNKNOWN while there is none, CONFLICT for other
//    bytes. It is looked up before the time: a late copy of an order that ran gets its outcome.
bool CAdmission::IsKnown(CRoom &room, CRequest &request, CWord &word) {
   if(!room.journal.Known(request.rid) && room.watch.Find(request.rid) < 0) return(false);
   if(!SameBytes(room, request)) {
      m_scribe.Conflict(room, request, word);
      return(true);
   }
   if(!m_scribe.Stored(room, request.rid, word)) word.Unknown(request.rid);
   return(true);
}

//--- A tombstone (hash of zeros) stands for whatever bytes come.
bool CAdmission::SameBytes(CRoom &room, CRequest &request) {
   CJournalRow row;
   if(room.journal.Find(request.rid, row))
      return(row.tomb || row.order_hash == request.order_hash);
   int i = room.watch.Find(request.rid);
   if(i < 0 || room.watch.Kind(i) != WATCH_FENCED) return(true);
   return(room.watch.OrderHash(i) == request.order_hash);
}

//--- Freshness for all; the clock guard for what opens or moves a price. The parent of a FLATTEN
//    whose children were seen is asked for its word afterwards, whenever that is.
bool CAdmission::InTime(CRoom &room, CRequest &request, CWord &word) {
   long now = room.clock.WallMs();
   if(request.op == OP_FLATTEN && m_flattener.IsSeen(room, request.token.rid)) return(true);
   if(request.IsEntry() && !room.clock.Healthy())
      return(word.Refuse(CODE_CLOCK, IntegerToString(CLOCK_JUMP_MS_MAX),
                         IntegerToString(room.clock.JumpMs())));
   if(request.token.iat > now + CLOCK_SKEW_MS_MAX)
      return(word.Refuse(CODE_NOT_YET_VALID, IntegerToString(now),
                         IntegerToString(request.token.iat)));
   if(!request.deadline.Passed(now, room.clock.MonoMs())) return(true);
   return(word.Refuse(CODE_EXPIRED, IntegerToString(request.token.Deadline()),
                      IntegerToString(now)));
}

bool CAdmission::BodyIsStrict(CRequest &request, CWord &word) {
   if(request.body_reads) return(true);
   return(word.Refuse(CODE_BODY, "", ""));
}

//--- The right account, connected, allowed to trade, and no other program trading: waited for
//    here, before the one attempt, and never again.
bool CAdmission::AccountMay(CRoom &room, CRequest &request, CWord &word) {
   string wanted, found;
   if(request.op == OP_RESUME) return(true);
   if(request.op == OP_FLATTEN && m_flattener.IsSeen(room, request.token.rid)) return(true);
   string why = room.account.Refusal(wanted, found);
   if(StringLen(why) > 0) return(word.Refuse(why, wanted, found));
   if(!room.account.IsBusy()) return(true);
   if(!room.trader.AwaitContext(room.clock, request.deadline))
      return(word.Refuse(CODE_BROKER_BUSY, "", ""));
   why = room.account.Refusal(wanted, found);
   if(StringLen(why) > 0) return(word.Refuse(why, wanted, found));
   return(true);
}

//--- The matrix of protocol.md 12. What only reduces is never refused.
bool CAdmission::StateMay(CRoom &room, CRequest &request, CWord &word) {
   int level = room.state.Level();
   if(level == STATE_ACTIVE) return(true);
   if(request.op != OP_OPEN && request.op != OP_MODIFY) return(true);
   if(level == STATE_HALTED)
      return(word.Refuse(CODE_HALTED, "", room.state.Cause()));
   bool removes_sl = request.body.old_sl > 0 && request.body.sl == 0;
   if(request.op == OP_MODIFY && request.body.StopsOnly() && !removes_sl) return(true);
   return(word.Refuse(CODE_REDUCE_ONLY, "", room.state.Cause()));
}
//+------------------------------------------------------------------+
