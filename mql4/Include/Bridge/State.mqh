//+------------------------------------------------------------------+
//| State.mqh: the Advisor's trading state, in its own file           |
//|                                                                   |
//|    ztb-ea-state/1                                                 |
//|    latch 0|1|2 rid|- reason                                       |
//|    beat kid sequence                                              |
//|    zone east|west ms (the broker's clock against UTC; Zone.mqh)   |
//|    dead phase number (the dead-man's switch; Silence.mqh)          |
//|    modify ticket iat                                              |
//|    end <first 16 hex digits of SHA-256 of all bytes before>       |
//|                                                                   |
//| Written whole under another name, then moved over the old one.    |
//| What cannot be read means HALTED; an operator's RESUME ends it.   |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Silence.mqh>
#include <Bridge/StateFile.mqh>

#define STATE_ACTIVE 0
#define STATE_REDUCE_ONLY 1
#define STATE_HALTED 2

#define BEAT_KIDS_MAX 64
#define NEVER -1

class CState {
private:
   string m_name;
   bool   m_dirty;          // the file is behind
   int    m_latch;
   string m_rid;
   string m_reason;
   string m_kids[];         // heartbeats: last sequence by key id
   long   m_sequences[];
   long   m_tickets[];      // last applied MODIFY by ticket, the oldest first
   long   m_iats[];
   bool   m_zoned;          // the zone was measured
   long   m_zone_ms;
   long   m_saved_mono_ms;

   bool   Take(string line);
   bool   Read(string &lines[]);
   bool   Save(void);
   void   Reset(void);

public:
   CSilence silence;

          CState(void);
   bool   Open(string name, bool first, string &why);
   int    Level(void) const;
   string LevelText(void) const;
   string Cause(void) const;
   string Rid(void) const { return(m_rid); }
   string Reason(void) const;
   bool   Lower(int level, string rid, string reason);
   bool   Resume(string rid);
   int    Heartbeat(string kid, long sequence, long mono_ms);
   bool   DeadMan(int seconds, bool acts, long mono_ms);
   bool   DeadManDone(void);
   bool   DeadManAgain(void);
   long   ModifyIat(long ticket) const;
   bool   ModifyApplied(long ticket, long iat);
   bool   Zoned(void) const { return(m_zoned); }
   long   ZoneMs(void) const { return(m_zone_ms); }
   bool   KeepZone(long offset_ms);
   bool   Flush(void);
};

CState::CState(void) {
   m_name = "";
   Reset();
}

void CState::Reset(void) {
   m_dirty = false;
   m_latch = STATE_ACTIVE;
   m_rid = "";
   m_reason = "";
   ArrayResize(m_kids, 0);
   ArrayResize(m_sequences, 0);
   ArrayResize(m_tickets, 0);
   ArrayResize(m_iats, 0);
   m_zoned = false;
   m_zone_ms = 0;
   m_saved_mono_ms = NEVER;
   silence.Reset();
}

//--- Read the file. `first`: there is no journal yet, so there need be no state either, and
//    one is written. A file that is missing otherwise, or cannot be read, means HALTED (true,
//    and `why` says it). False: nothing can be written, so nothing could be kept.
bool CState::Open(string name, bool first, string &why) {
   string lines[];
   m_name = name;
   why = "";
   Reset();
   bool there = FileIsExist(name);
   if(there && StateFileRead(name, lines) && Read(lines)) return(true);
   Reset();
   if(there || !first) {
      m_latch = STATE_HALTED;
      m_reason = there ? "the state file cannot be read" : "the state file is missing";
      why = m_reason + " (" + name + "): HALTED until an operator's RESUME";
   }
   if(Save()) return(true);
   if(StringLen(why) == 0) why = "the state file " + name + " cannot be written: is the disk full?";
   return(there || !first);
}

bool CState::Read(string &lines[]) {
   int count = ArraySize(lines);
   if(count < 1 || StringSubstr(lines[0], 0, 6) != "latch ") return(false);
   for(int i = 0; i < count; i++)
      if(!Take(lines[i])) return(false);
   return(true);
}

//--- Take one line; false if it is none.
bool CState::Take(string line) {
   string words[];
   long key = 0;
   long value = 0;
   int count = StringSplit(line, ' ', words);
   if(count >= 3 && words[0] == "latch") {
      if(!TextIsInteger(words[1], STATE_HALTED, value)) return(false);
      if(words[2] != "-" && !TextIsRid(words[2])) return(false);
      m_latch = (int)value;
      m_rid = words[2] == "-" ? "" : words[2];
      m_reason = StringSubstr(line, 9 + StringLen(words[2]));
      return(true);
   }
   if(count != 3 || !TextIsInteger(words[2], LONG_MAX, value)) return(false);
   if(words[0] == "beat" && TextIsKid(words[1])) {
      int beats = ArraySize(m_kids);
      ArrayResize(m_kids, beats + 1);
      ArrayResize(m_sequences, beats + 1);
      m_kids[beats] = words[1];
      m_sequences[beats] = value;
      return(beats < BEAT_KIDS_MAX);
   }
   if(words[0] == "dead") return(silence.Take(words[1], words[2]));
   if(words[0] == "zone") {
      bool once = !m_zoned;
      m_zoned = words[1] == "east" || words[1] == "west";
      m_zone_ms = words[1] == "west" ? -value : value;
      return(once && m_zoned);
   }
   if(words[0] != "modify" || !TextIsInteger(words[1], LONG_MAX, key)) return(false);
   int modifies = ArraySize(m_tickets);
   ArrayResize(m_tickets, modifies + 1);
   ArrayResize(m_iats, modifies + 1);
   m_tickets[modifies] = key;
   m_iats[modifies] = value;
   return(modifies < MODIFY_TICKETS_MAX);
}

//--- Write the file; false, and tried again by Flush(), if the disk does not take it.
bool CState::Save(void) {
   string text = "latch " + IntegerToString(m_latch) + " " + (StringLen(m_rid) > 0 ? m_rid : "-")
                 + " " + m_reason + "\n";
   for(int i = 0; i < ArraySize(m_kids); i++)
      text += "beat " + m_kids[i] + " " + IntegerToString(m_sequences[i]) + "\n";
   if(m_zoned)
      text += (m_zone_ms < 0 ? "zone west " : "zone east ")
              + IntegerToString(m_zone_ms < 0 ? -m_zone_ms : m_zone_ms) + "\n";
   text += silence.Line();
   for(int i = 0; i < ArraySize(m_tickets); i++)
      text += "modify " + IntegerToString(m_tickets[i]) + " " + IntegerToString(m_iats[i])
             + "\n";
   m_dirty = !StateFileWrite(m_name, text);
   return(!m_dirty);
}

//--- Remember the broker's zone for the next start.
bool CState::KeepZone(long offset_ms) {
   m_zoned = true;
   m_zone_ms = offset_ms;
   return(Save());
}

//--- Write what the disk did not take before; call it at each turn and at the end.
bool CState::Flush(void) {
   return(!m_dirty || Save());
}

//--- The worse of what an operator latched and of the dead-man's switch.
int CState::Level(void) const {
   return(silence.Dead() && m_latch < STATE_REDUCE_ONLY ? STATE_REDUCE_ONLY : m_latch);
}

string CState::LevelText(void) const {
   int level = Level();
   return(level == STATE_ACTIVE ? "ACTIVE" : (level == STATE_HALTED ? "HALTED" : "REDUCE_ONLY"));
}

//--- The cause as protocol.md 12 names it, "" while ACTIVE.
string CState::Cause(void) const {
   if(m_latch != STATE_ACTIVE) return("OPERATOR");
   return(silence.Dead() ? "HEARTBEAT" : "");
}

string CState::Reason(void) const {
   if(m_latch != STATE_ACTIVE) return(m_reason);
   return(silence.Dead() ? "no heartbeat" : "");
}

//--- HALT or REDUCE_ONLY: in effect at once, never raises. False: it is not on disk (yet).
bool CState::Lower(int level, string rid, string reason) {
   if(level <= m_latch) return(Flush());
   m_latch = level < STATE_HALTED ? level : STATE_HALTED;
   m_rid = TextIsRid(rid) ? rid : "";
   m_reason = TextIsPrintable(reason) ? reason : "";
   return(Save());
}

//--- RESUME of cause OPERATOR: on disk first. False: nothing changed.
bool CState::Resume(string rid) {
   int latch = m_latch;
   string old_rid = m_rid;
   string old_reason = m_reason;
   m_latch = STATE_ACTIVE;
   m_rid = TextIsRid(rid) ? rid : "";
   m_reason = "";
   if(Save()) return(true);
   m_latch = latch;
   m_rid = old_rid;
   m_reason = old_reason;
   return(false);
}

//--- Take a heartbeat signed at this monotonic time: 1, or 0 if its sequence does not exceed the
//    last of this key id. What it changes in the dead-man's switch is on disk at once, else at most
//    each HEARTBEAT_SAVE_MS: across a restart its ttl keeps an old one out.
int CState::Heartbeat(string kid, long sequence, long mono_ms) {
   int count = ArraySize(m_kids);
   int at = 0;
   while(at < count && m_kids[at] != kid) at++;
   if(at < count && sequence <= m_sequences[at]) return(0);
   if(at == count) {
      if(count >= BEAT_KIDS_MAX) return(0);
      ArrayResize(m_kids, count + 1);
      ArrayResize(m_sequences, count + 1);
      m_kids[at] = kid;
   }
   m_sequences[at] = sequence;
   bool due = m_saved_mono_ms == NEVER || mono_ms - m_saved_mono_ms >= HEARTBEAT_SAVE_MS;
   if(silence.Heard(mono_ms) || due) {
      m_saved_mono_ms = mono_ms;
      Save();
   }
   else m_dirty = m_dirty || at == count;
   return(1);
}

//--- The dead-man's switch (Silence.mqh). False: what it has come to is not on disk, so that
//    nothing may be done about it yet.
bool CState::DeadMan(int seconds, bool acts, long mono_ms) {
   if(silence.Look(seconds, acts, mono_ms)) return(Save());
   return(!m_dirty);
}

//--- Its policy has been carried out.
bool CState::DeadManDone(void) {
   silence.Done();
   return(Save());
}

//--- Something was left: another FLATTEN, under another number.
bool CState::DeadManAgain(void) {
   silence.Again();
   return(Save());
}

//--- `iat` of the last MODIFY applied to a ticket, 0 if none is remembered.
long CState::ModifyIat(long ticket) const {
   for(int i = ArraySize(m_tickets) - 1; i >= 0; i--)
      if(m_tickets[i] == ticket) return(m_iats[i]);
   return(0);
}

//--- Remember the MODIFY applied to a ticket; the longest untouched ticket makes room.
bool CState::ModifyApplied(long ticket, long iat) {
   int count = ArraySize(m_tickets);
   int at = 0;
   while(at < count && m_tickets[at] != ticket) at++;
   if(at == count && count >= MODIFY_TICKETS_MAX) at = 0;
   if(at == count) {
      ArrayResize(m_tickets, count + 1);
      ArrayResize(m_iats, count + 1);
   }
   else {
      for(int i = at; i < count - 1; i++) {
         m_tickets[i] = m_tickets[i + 1];
         m_iats[i] = m_iats[i + 1];
      }
      at = count - 1;
   }
   m_tickets[at] = ticket;
   m_iats[at] = iat;
   return(Save());
}
//+------------------------------------------------------------------+
