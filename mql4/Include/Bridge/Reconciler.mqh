//+------------------------------------------------------------------+
//| Reconciler.mqh: how UNKNOWN ends                                  |
//|                                                                   |
//| By evidence only. Absence counts when the terminal is connected   |
//| to the right account, its history reaches back far enough and two |
//| looks SettleSeconds apart saw nothing (protocol.md 14). In doubt  |
//| it stays UNKNOWN.                                                 |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Evidence.mqh>
#include <Bridge/Scribe.mqh>
#include <Bridge/Protector.mqh>

// A journal this young may have been begun anew after a loss: then the visible history has to
// reach back beyond its beginning before a request id that it does not know is called absent.
#define JOURNAL_YOUNG_MS 3600000
#define RECONCILE_SLACK_MS 60000

class CReconciler {
private:
   CEvidence  m_evidence;
   CScribe    m_scribe;
   CProtector m_protector;

   bool   Covers(CRoom &room, long iat);
   bool   TombSeen(CRoom &room, string rid);
   void   LookAgain(CRoom &room, int i);
   void   LookBegun(CRoom &room, int i, string rid);
   void   LookFenced(CRoom &room, int i);
   void   LookTomb(CRoom &room, int i, string rid, string kid);

public:
   void   Start(CRoom &room);
   bool   IsFenced(CRoom &room, CRequest &request);
   bool   Fence(CRoom &room, CRequest &request, CWord &word);
   bool   Tombstone(CRoom &room, string rid, string kid, CWord &word);
   bool   Known(CRoom &room, string rid, CWord &word);
   bool   Conclude(CRoom &room, CRequest &request, CWord &word);
   void   Turn(CRoom &room);
};

//--- After the journal is open: every row without a result is looked for.
void CReconciler::Start(CRoom &room) {
   for(int i = 0; i < room.journal.OpenCount(); i++) {
      string rid = room.journal.OpenRid(i);
      room.alerts.Raise("warning", CODE_RECONCILING, "outcome unknown since before the start: "
                        + rid);
      if(!room.watch.Begun(rid))
         room.alerts.Raise("error", CODE_RECONCILING, "too many orders of unknown outcome");
   }
}

//--- What is known of a request id, from the journal or because it is being looked for.
bool CReconciler::Known(CRoom &room, string rid, CWord &word) {
   int tickets[];
   long seen_ms = 0;
   if(m_scribe.Stored(room, rid, word)) return(true);
   // An id that a damaged journal does not show may have been in the damaged part.
   bool under_way = room.watch.Find(rid) >= 0
                    || room.journal.FlattenTickets(rid, tickets, seen_ms)
                    || room.journal.HealthText() == "FATAL";
   if(under_way) word.Unknown(rid);
   return(under_way);
}

//--- Boot fence (recovery): a request that is not in the journal and was signed before this
//    start, or before what the journal still knows, may have run: it never runs again.
bool CReconciler::IsFenced(CRoom &room, CRequest &request) {
   int tickets[];
   long seen_ms = 0;
   long iat = request.token.iat;
   bool early = iat < room.clock.StartedMs() + CLOCK_SKEW_MS_MAX
                || iat <= room.journal.ForgottenMs() + CLOCK_SKEW_MS_MAX;
   if(!early) return(false);
   // The children of a FLATTEN that the journal knows may begin also after a restart.
   if(request.token.op == OP_FLATTEN
      && room.journal.FlattenTickets(request.token.rid, tickets, seen_ms))
      return(false);
   return(true);
}

//--- Whether the journal was kept since before the request could have been signed: then a
//    request id that is not in it never began here.
bool CReconciler::Covers(CRoom &room, long iat) {
   if(room.journal.HealthText() == "FATAL") return(false);
   if(iat <= room.journal.ForgottenMs() + CLOCK_SKEW_MS_MAX) return(false);
   return(iat >= room.journal.CreatedMs() + CLOCK_SKEW_MS_MAX);
}

//--- Answer a fenced request: DENIED FENCED once it is proven that it did nothing, UNKNOWN
//    until then.
bool CReconciler::Fence(CRoom &room, CRequest &request, CWord &word) {
   word.Unknown(request.rid);
   if(!request.body_reads) {                       // no run of ours ever took these bytes
      word.Refuse(CODE_BODY, "", "");
      m_scribe.Deny(room, request, word);
      return(true);
   }
   if(Covers(room, request.token.iat)
      && m_evidence.TagSeen(room, request.rid) == LOOK_NOTHING) {
      word.Refuse(CODE_FENCED, "", "");
      m_scribe.Deny(room, request, word);
      return(true);
   }
   int i = room.watch.Fenced(request.rid);
   int child_ticket = request.child ? request.ticket : 0;
   if(room.watch.Fence(i, request.op, request.order_hash, child_ticket))
      room.watch.Frames(i, request.token_text, request.body_text);
   return(false);
}

//--- Never run this request id. DENIED FENCED if it is proven that it never ran, else UNKNOWN.
bool CReconciler::Tombstone(CRoom &room, string rid, string kid, CWord &word) {
   if(Known(room, rid, word)) return(word.IsFinal());
   word.Unknown(rid);
   room.watch.Tomb(rid, kid);
   long age_ms = room.clock.WallMs() - room.journal.CreatedMs();
   if(age_ms < room.SettleMs() || !TombSeen(room, rid)) return(false);
   return(m_scribe.Tomb(room, rid, kid, word));
}

//--- One look by tag: true if nothing is there and everything could be seen.
bool CReconciler::TombSeen(CRoom &room, string rid) {
   if(m_evidence.TagSeen(room, rid) != LOOK_NOTHING) return(false);
   long age_ms = room.clock.WallMs() - room.journal.CreatedMs();
   if(age_ms >= JOURNAL_YOUNG_MS) return(true);
   return(room.pools.Reaches(room.MarketMsAt(room.journal.CreatedMs()) / 1000));
}

//--- Make a known outcome final: an entry whose stops are missing gets its protective step.
bool CReconciler::Conclude(CRoom &room, CRequest &request, CWord &word) {
   if(m_protector.Needed(room, request, word)) m_protector.Begin(room, request, word);
   return(m_scribe.Finish(room, request, word));
}

//--- One look at one request id, whose turn it is.
void CReconciler::Turn(CRoom &room) {
   int i = room.watch.Due(room.clock.MonoMs());
   if(i >= 0) LookAgain(room, i);
}

void CReconciler::LookAgain(CRoom &room, int i) {
   string rid = room.watch.Rid(i);
   int kind = room.watch.Kind(i);
   if(kind == WATCH_BEGUN) LookBegun(room, i, rid);
   else if(kind == WATCH_FENCED) LookFenced(room, i);
   else if(kind == WATCH_TOMB) LookTomb(room, i, rid, room.watch.Kid(i));
   else room.watch.Drop(rid);
}

void CReconciler::LookBegun(CRoom &room, int i, string rid) {
   CJournalRow row;
   CRequest request;
   CWord word;
   if(!room.journal.Find(rid, row) || row.ended) {
      room.watch.Drop(rid);
      return;
   }
   if(!request.RestoreRow(row)) return;
   long began_ms = room.clock.MonoMs();
   int seen = m_evidence.Look(room, request, word);
   if(seen == LOOK_KNOWN) {
      Conclude(room, request, word);
      return;
   }
   bool settled = room.watch.Settled(i, seen == LOOK_NOTHING, began_ms, room.clock.MonoMs(),
                                     room.SettleMs());
   if(!settled) return;
   word.Refuse(CODE_ABSENT, "", "");
   m_scribe.Deny(room, request, word);
}

void CReconciler::LookFenced(CRoom &room, int i) {
   CRequest request;
   CWord word;
   string rid = room.watch.Rid(i);
   if(!request.Restore(room.watch.Token(i), room.watch.Body(i))) return;
   request.order_hash = room.watch.OrderHash(i);
   if(request.rid != rid) request.BecomeChild(rid, room.watch.Op(i), room.watch.Ticket(i), "");
   request.market_ms = room.MarketMsAt(request.token.iat) - RECONCILE_SLACK_MS;
   long began_ms = room.clock.MonoMs();
   bool nothing = m_evidence.TagSeen(room, rid) == LOOK_NOTHING;
   bool proven = nothing && Covers(room, request.token.iat);
   if(!proven) {
      nothing = nothing && m_evidence.Look(room, request, word) == LOOK_NOTHING;
      proven = room.watch.Settled(i, nothing, began_ms, room.clock.MonoMs(), room.SettleMs());
   }
   if(!proven) return;
   word.Refuse(CODE_FENCED, "", "");
   m_scribe.Deny(room, request, word);
}

void CReconciler::LookTomb(CRoom &room, int i, string rid, string kid) {
   CWord word;
   long began_ms = room.clock.MonoMs();
   bool nothing = TombSeen(room, rid);
   bool settled = room.watch.Settled(i, nothing, began_ms, room.clock.MonoMs(),
                                     room.SettleMs());
   long age_ms = room.clock.WallMs() - room.journal.CreatedMs();
   if(settled || (nothing && age_ms >= room.SettleMs())) m_scribe.Tomb(room, rid, kid, word);
}
//+------------------------------------------------------------------+
