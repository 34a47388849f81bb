//+------------------------------------------------------------------+
//| DeadMan.mqh: what the Advisor does by itself when the strategy is |
//| silent                                                            |
//|                                                                   |
//| protocol.md 12.1. A FLATTEN of its own: the tickets are fixed in  |
//| the journal, each is an intent, one broker call and a signed      |
//| record like any order, at most one call a turn. It needs neither  |
//| server nor link, and goes on after a restart.                     |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Executor.mqh>
#include <Bridge/Flatten.mqh>

#define PURPOSE_DEAD_MAN "dead-man"
#define DEAD_MAN_CALL_MS 5000          // a broker call begins within it
#define DEAD_MAN_PAUSE_MS 5000         // before another FLATTEN, doubling
#define DEAD_MAN_PAUSE_MS_MAX 60000
#define CAUSE_HEARTBEAT "HEARTBEAT"
#define ALERT_LEFT "DEAD_MAN_LEFT"

class CDeadMan {
private:
   CExecutor m_executor;
   long      m_due_ms;
   long      m_pause_ms;

   bool   Rid(CRoom &room, string &rid);
   string Kid(CRoom &room);
   bool   Open(CRoom &room, int &tickets[]);
   void   Begin(CRoom &room, string rid);
   bool   Act(CRoom &room, CHerald &herald, string child, int ticket);
   void   End(CRoom &room);
   bool   May(CRoom &room);

public:
          CDeadMan(void);
   bool   Turn(CRoom &room, CHerald &herald);
};

CDeadMan::CDeadMan(void) {
   m_due_ms = 0;
   m_pause_ms = DEAD_MAN_PAUSE_MS;
}

//--- What is due; true if a broker call was made. What is not on disk has not happened: nothing
//    begins before the firing is.
bool CDeadMan::Turn(CRoom &room, CHerald &herald) {
   string rid = "";
   string child = "";
   int tickets[];
   long seen_ms = 0;
   bool acts = room.dead_man_policy != DEAD_MAN_REDUCE_ONLY;
   long now_ms = room.clock.MonoMs();
   if(!room.state.DeadMan(room.dead_man_seconds, acts, now_ms)) return(false);
   if(!room.state.silence.Acts()) {
      m_due_ms = 0;
      m_pause_ms = DEAD_MAN_PAUSE_MS;
      return(false);
   }
   if(now_ms < m_due_ms || !Rid(room, rid)) return(false);
   if(!room.journal.FlattenTickets(rid, tickets, seen_ms)) {
      if(room.state.silence.IsBack()) room.state.DeadManDone();
      else Begin(room, rid);
      return(false);
   }
   bool looking = false;
   for(int i = 0; i < ArraySize(tickets); i++) {
      if(!TagChildRid(rid, tickets[i], child) || room.journal.Ended(child)) continue;
      if(!room.journal.Known(child)) return(May(room) && Act(room, herald, child, tickets[i]));
      looking = true;
   }
   if(!looking && room.watch.Count() == 0) End(room);
   return(false);
}

//--- The request id of the present FLATTEN: the same after a restart, and nothing that a server
//    could foresee and bury.
bool CDeadMan::Rid(CRoom &room, string &rid) {
   uchar key[];
   string mac = "";
   string number = IntegerToString(room.state.silence.Number());
   bool made = room.keys.EventKey(key)
               && MacOfText(key, PURPOSE_DEAD_MAN, room.keys.Account(), number, mac);
   BytesWipe(key);
   rid = StringSubstr(mac, 0, RID_HEX);
   return(made);
}

//--- Whose record it will be: of a key set that may trade, since such a one beat.
string CDeadMan::Kid(CRoom &room) {
   for(int i = 0; i < room.keys.Count(); i++)
      if(room.keys.Scope(i) == SCOPE_TRADE) return(room.keys.Kid(i));
   return(room.keys.Count() > 0 ? room.keys.Kid(0) : "");
}

//--- The open tickets that the policy means, of the symbols that are served. False: not all of
//    them could be seen.
bool CDeadMan::Open(CRoom &room, int &tickets[]) {
   COrder order;
   bool whole = false;
   int kept = 0;
   string scope = room.dead_man_policy == DEAD_MAN_FLATTEN ? "ALL" : "PENDINGS";
   if(!room.CanSee()) return(false);
   for(int i = 0; i < FLATTEN_WALKS && !whole; i++)
      whole = room.pools.OpenTickets(scope, "", tickets);
   for(int k = 0; k < ArraySize(tickets); k++) {
      if(!room.pools.ByTicket(tickets[k], order) || !room.caps.Allows(order.symbol)) continue;
      tickets[kept] = tickets[k];
      kept++;
   }
   ArrayResize(tickets, kept);
   return(whole);
}

void CDeadMan::Begin(CRoom &room, string rid) {
   int tickets[];
   if(!May(room) || !Open(room, tickets)) return;
   if(!room.journal.Flatten(rid, tickets, room.clock.WallMs())) {
      room.alerts.Raise("error", "JOURNAL_" + room.journal.HealthText(), room.journal.Why());
      return;
   }
   room.alerts.Raise("error", CAUSE_HEARTBEAT, "no heartbeat for "
                     + IntegerToString(room.dead_man_seconds) + " s: "
                     + IntegerToString(ArraySize(tickets)) + " tickets to "
                     + (room.dead_man_policy == DEAD_MAN_FLATTEN ? "clear away" : "cancel")
                     + ", FLATTEN " + rid);
}

//--- Close or cancel one ticket.
bool CDeadMan::Act(CRoom &room, CHerald &herald, string child, int ticket) {
   COrder order;
   CRequest request;
   CWord word;
   long now = room.clock.WallMs();
   bool rests = room.pools.ByTicket(ticket, order) && order.IsPending();
   request.BecomeOwn(Kid(room), child, rests ? OP_CANCEL : OP_CLOSE, ticket);
   request.body.symbol = order.symbol;
   request.deadline.Set(now + DEAD_MAN_CALL_MS, now, room.clock.MonoMs());
   m_executor.Run(room, herald, request, word);
   string about = request.op + " " + IntegerToString(ticket) + " " + order.symbol + " ";
   room.alerts.Raise("warning", CAUSE_HEARTBEAT, "no heartbeat: " + about + word.status
                     + (word.code == CODE_NONE ? "" : " " + word.code) + ", request " + child);
   return(true);
}

//--- Every ticket has its outcome. What is left, or was opened meanwhile, gets another FLATTEN
//    after a pause, unless a heartbeat came.
void CDeadMan::End(CRoom &room) {
   int tickets[];
   if(!Open(room, tickets)) return;
   int left = ArraySize(tickets);
   bool again = left > 0 && !room.state.silence.IsBack();
   if(left > 0)
      room.alerts.Raise("error", ALERT_LEFT, IntegerToString(left) + " tickets are left after "
                        + "FLATTEN number " + IntegerToString(room.state.silence.Number())
                        + (again ? ": trying again" : ": the strategy is back, see to them"));
   if(!again) {
      room.state.DeadManDone();
      return;
   }
   m_due_ms = room.clock.MonoMs() + m_pause_ms;
   m_pause_ms = 2 * m_pause_ms < DEAD_MAN_PAUSE_MS_MAX ? 2 * m_pause_ms : DEAD_MAN_PAUSE_MS_MAX;
   room.state.DeadManAgain();
}

//--- Whether a broker call may be made now; nothing is begun before.
bool CDeadMan::May(CRoom &room) {
   string wanted, found;
   string why = room.account.Refusal(wanted, found);
   if(StringLen(why) == 0) return(!room.account.IsBusy());
   room.alerts.Raise("error", ALERT_LEFT, "no heartbeat, but nothing can be closed now: " + why);
   return(false);
}
//+------------------------------------------------------------------+
