//+------------------------------------------------------------------+
//| Desk.mqh: the trading half of the Advisor behind one door         |
//|                                                                   |
//| The link hands in frames and takes answers; everything between is |
//| here. Load `room.keys` and start `room.clock` before Start().     |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Admission.mqh>
#include <Bridge/DeadMan.mqh>
#include <Bridge/Executor.mqh>

class CDeskInputs {
public:
   string symbols;
   double max_lots;
   int    max_positions;
   long   expected_account;
   string expected_server;
   bool   allow_real;
   bool   market_execution;
   int    dead_man_seconds;
   int    dead_man_policy;
   int    settle_seconds;
   string instance;           // 16 hex digits, new at each start
};

class CDesk {
private:
   CAdmission  m_admission;
   CDeadMan    m_dead_man;
   CExecutor   m_executor;
   CFlattener  m_flattener;
   CProtector  m_protector;
   CReconciler m_reconciler;

   bool   Lower(CRequest &request, int level);
   bool   Beat(CRequest &request);
   void   FenceWord(CRequest &request, CWord &word);
   bool   TakeInputs(CDeskInputs &inputs, string &why);

public:
   CRoom  room;

   bool   Start(CDeskInputs &inputs, string &why);
   void   Stop(void);
   bool   Exec(long number, string ticket, const uchar &token[], const uchar &body[],
               CHerald &herald, CWord &word);
   bool   Forward(const uchar &token[], const uchar &body[], CWord &word, bool &is_word,
                  string &state_json);
   void   Status(string rid, CWord &word);
   bool   Tombstone(string rid, string kid, CWord &word);
   void   Turn(CHerald &herald);
   string StateJson(void);
   string DeadManText(void);
   bool   TakeAlert(string &level, string &code, string &message);
   int    Unfinished(void);
};

//--- Open journal and state of this account; false: `why` says what to do. A `why` with true is
//    a warning (the state file was lost: HALTED).
bool CDesk::Start(CDeskInputs &inputs, string &why) {
   string warning = "";
   string account = room.keys.Account();
   string journal = "bridge-" + account + ".journal";
   if(!TakeInputs(inputs, why)) return(false);
   if(!room.state.Open("bridge-" + account + ".state", !FileIsExist(journal), warning)) {
      why = warning;
      return(false);
   }
   if(!room.journal.Open(journal, account, inputs.instance, room.clock.WallMs(), why))
      return(false);
   if(StringLen(warning) > 0) room.alerts.Raise("error", "STATE_LOST", warning);
   if(StringLen(why) > 0) room.alerts.Raise("error", "JOURNAL", why);
   if(room.state.Zoned()) room.market.zone.Restore(room.state.ZoneMs());
   else room.market.zone.Reset();
   room.LearnMarketTime();
   m_reconciler.Start(room);
   why = warning;
   return(true);
}

bool CDesk::TakeInputs(CDeskInputs &inputs, string &why) {
   if(!room.caps.Set(inputs.symbols, inputs.max_lots, inputs.max_positions, why)) return(false);
   if(inputs.settle_seconds < 1) {
      why = "SettleSeconds must be 1 or more";
      return(false);
   }
   if(inputs.dead_man_seconds < 0) {
      why = "DeadManSeconds must be 0 (off) or more";
      return(false);
   }
   if(inputs.dead_man_policy < DEAD_MAN_REDUCE_ONLY || inputs.dead_man_policy > DEAD_MAN_FLATTEN) {
      why = "DeadManPolicy must be 0 (reduce only), 1 (cancel) or 2 (flatten)";
      return(false);
   }
   room.account.Expect(inputs.expected_account, inputs.expected_server, inputs.allow_real);
   room.market_execution = inputs.market_execution;
   room.dead_man_seconds = inputs.dead_man_seconds;
   room.dead_man_policy = inputs.dead_man_policy;
   room.settle_seconds = inputs.settle_seconds;
   return(true);
}

//--- Close the files; nothing is half done between two calls.
void CDesk::Stop(void) {
   if(!room.state.Flush()) Print("the state file could not be written");
   room.journal.Close();
}

//--- EXEC: carry out a signed order, or one ticket of a signed FLATTEN. False: drop it without an
//    answer, and count it.
bool CDesk::Exec(long number, string ticket, const uchar &token[], const uchar &body[],
                 CHerald &herald, CWord &word) {
   CRequest request;
   long child = 0;
   word.Clear();
   if(!TextIsNatural(ticket, child)) return(false);
   if(!m_admission.Verify(room, token, body, request)) return(false);
   bool order = request.Reduces() || request.op == OP_OPEN || request.op == OP_MODIFY
                || request.op == OP_RESUME;
   if(!order) return(false);
   if(child != 0 && !m_flattener.Adopt(room, request, child)) return(false);
   request.number = number;
   if(m_admission.Judge(room, request, word)) m_executor.Run(room, herald, request, word);
   return(true);
}

//--- FORWARD: FENCE is answered by a word about its subject, the others by the state. False:
//    drop it without an answer, and count it.
bool CDesk::Forward(const uchar &token[], const uchar &body[], CWord &word, bool &is_word,
                    string &state_json) {
   CRequest request;
   word.Clear();
   is_word = false;
   state_json = "";
   if(!m_admission.Verify(room, token, body, request) || !request.body_reads) return(false);
   bool taken = false;
   if(request.op == OP_HALT) taken = Lower(request, STATE_HALTED);
   else if(request.op == OP_REDUCE_ONLY) taken = Lower(request, STATE_REDUCE_ONLY);
   else if(request.op == OP_HEARTBEAT) taken = Beat(request);
   else if(request.op == OP_FENCE) {
      FenceWord(request, word);
      is_word = true;
      taken = true;
   }
   state_json = StateJson();
   return(taken);
}

//--- Lower the state: in effect at once, whatever the disk says, at any time and however often.
bool CDesk::Lower(CRequest &request, int level) {
   if(!room.state.Lower(level, request.rid, request.body.reason))
      room.alerts.Raise("error", "STATE_FILE", "the state is lowered, but its file could not be"
                        + " written: " + room.state.LevelText());
   return(true);
}

//--- A heartbeat counts only fresh and with a sequence above the last one, and from when it was
//    signed: held on the way it keeps nothing alive.
bool CDesk::Beat(CRequest &request) {
   CWord unused;
   if(!m_admission.InTime(room, request, unused)) return(true);
   // A clock that was just set makes no age.
   long age_ms = room.clock.Healthy() ? room.clock.WallMs() - request.token.iat : 0;
   room.state.Heartbeat(request.token.kid, request.body.sequence,
                        room.clock.MonoMs() - (age_ms > 0 ? age_ms : 0));
   return(true);
}

//--- A stale FENCE ends nothing; what is known of its subject is said all the same.
void CDesk::FenceWord(CRequest &request, CWord &word) {
   CWord unused;
   if(m_admission.InTime(room, request, unused))
      m_reconciler.Tombstone(room, request.body.rid, request.token.kid, word);
   else Status(request.body.rid, word);
}

//--- What is known of a request id: NOT_SEEN if nothing is.
void CDesk::Status(string rid, CWord &word) {
   word.Clear();
   if(m_reconciler.Known(room, rid, word)) return;
   word.rid = rid;
   word.status = STATUS_NOT_SEEN;
   word.code = CODE_NOT_SEEN;
}

//--- Never run it. False: no such key set, so nothing could be attested: drop it.
bool CDesk::Tombstone(string rid, string kid, CWord &word) {
   uchar key[];
   word.Clear();
   if(!TextIsRid(rid) || !room.keys.ReplyKey(kid, key)) return(false);
   BytesWipe(key);
   m_reconciler.Tombstone(room, rid, kid, word);
   return(true);
}

//--- One turn of what goes on by itself: the dead-man's switch, at most one protective broker
//    call, one look for an unknown outcome.
void CDesk::Turn(CHerald &herald) {
   if(!room.journal.Retry())
      room.alerts.Raise("error", "JOURNAL_" + room.journal.HealthText(), room.journal.Why());
   room.LearnMarketTime();
   if(!room.state.Flush())
      room.alerts.Raise("error", "STATE_FILE", "the state file could not be written");
   if(m_dead_man.Turn(room, herald)) return;
   if(m_protector.Turn(room, herald)) return;
   m_reconciler.Turn(room);
}

string CDesk::StateJson(void) {
   CJson json;
   json.Begin();
   json.Text("state", room.state.LevelText());
   json.Text("cause", room.state.Cause());
   return(json.Done());
}

//--- The dead-man's switch, for the beat: "off", or what happens when, and how it stands.
string CDesk::DeadManText(void) {
   if(room.dead_man_seconds <= 0) return("off");
   string policy = "reduce-only";
   if(room.dead_man_policy == DEAD_MAN_CANCEL) policy = "cancel";
   if(room.dead_man_policy == DEAD_MAN_FLATTEN) policy = "flatten";
   return(policy + " after " + IntegerToString(room.dead_man_seconds) + " s: "
          + room.state.silence.Text());
}

//--- The oldest alert that nobody took yet; false: none.
bool CDesk::TakeAlert(string &level, string &code, string &message) {
   return(room.alerts.Take(level, code, message));
}

//--- Requests whose outcome is not known yet.
int CDesk::Unfinished(void) {
   return(room.watch.Count());
}
//+------------------------------------------------------------------+
