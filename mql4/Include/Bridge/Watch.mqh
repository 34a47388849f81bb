//+------------------------------------------------------------------+
//| Watch.mqh: request ids whose outcome is being looked for          |
//|                                                                   |
//| Three kinds: begun (an intent is on file, no result), fenced      |
//| (verified, but perhaps from before a restart: it never runs) and  |
//| tomb (somebody asked that it never run, and nothing is known of   |
//| it). The looks are counted on the monotonic clock.                |
//+------------------------------------------------------------------+
#property strict

#define WATCH_BEGUN 1
#define WATCH_FENCED 2
#define WATCH_TOMB 3
#define WATCH_MAX 512                  // beyond it the answer is UNKNOWN all the same
#define WATCH_PERIOD_MS 1000

class CWatched {
public:
   string rid;
   int    kind;
   string kid;                // tomb: whose word it will be
   string op;                 // fenced
   string order_hash;         // fenced
   string token;              // fenced
   string body;               // fenced
   int    ticket;             // fenced: of a child
   long   first_ms;           // end of the first of the looks that showed nothing; -1: none yet
   long   due_ms;             // the next look
};

class CWatch {
private:
   CWatched m_list[];
   int      m_turn;

   int    Slot(string rid);

public:
          CWatch(void) { m_turn = 0; }
   int    Find(string rid);
   int    Count(void);
   bool   Begun(string rid);
   bool   Tomb(string rid, string kid);
   int    Fenced(string rid);
   void   Drop(string rid);
   int    Due(long now_ms);
   bool   Settled(int i, bool nothing_seen, long began_ms, long ended_ms, long settle_ms);
   int    Kind(int i);
   string Rid(int i);
   string Kid(int i);
   string OrderHash(int i);
   bool   Fence(int i, string op, string order_hash, int ticket);
   void   Frames(int i, string token, string body);
   string Op(int i);
   string Token(int i);
   string Body(int i);
   int    Ticket(int i);
};

int CWatch::Find(string rid) {
   for(int i = 0; i < ArraySize(m_list); i++)
      if(m_list[i].rid == rid) return(i);
   return(-1);
}

int CWatch::Count(void) {
   return(ArraySize(m_list));
}

//--- The place of a request id, made if there is room; -1: full.
int CWatch::Slot(string rid) {
   int i = Find(rid);
   if(i >= 0) return(i);
   i = ArraySize(m_list);
   if(i >= WATCH_MAX) return(-1);
   ArrayResize(m_list, i + 1);
   m_list[i].rid = rid;
   m_list[i].kind = 0;
   m_list[i].kid = "";
   m_list[i].op = "";
   m_list[i].order_hash = "";
   m_list[i].token = "";
   m_list[i].body = "";
   m_list[i].ticket = 0;
   m_list[i].first_ms = -1;
   m_list[i].due_ms = 0;
   return(i);
}

bool CWatch::Begun(string rid) {
   int i = Slot(rid);
   if(i >= 0) m_list[i].kind = WATCH_BEGUN;
   return(i >= 0);
}

bool CWatch::Tomb(string rid, string kid) {
   int i = Slot(rid);
   if(i >= 0 && m_list[i].kind == 0) {
      m_list[i].kind = WATCH_TOMB;
      m_list[i].kid = kid;
   }
   return(i >= 0);
}

//--- The place for a fenced request; -1: there is no room, or it is watched already.
int CWatch::Fenced(string rid) {
   int i = Slot(rid);
   if(i < 0 || m_list[i].kind != 0) return(-1);
   m_list[i].kind = WATCH_FENCED;
   return(i);
}

bool CWatch::Fence(int i, string op, string order_hash, int ticket) {
   if(i < 0) return(false);
   m_list[i].op = op;
   m_list[i].order_hash = order_hash;
   m_list[i].ticket = ticket;
   return(true);
}

void CWatch::Frames(int i, string token, string body) {
   if(i < 0) return;
   m_list[i].token = token;
   m_list[i].body = body;
}

void CWatch::Drop(string rid) {
   int i = Find(rid);
   if(i < 0) return;
   int last = ArraySize(m_list) - 1;
   m_list[i].rid = m_list[last].rid;
   m_list[i].kind = m_list[last].kind;
   m_list[i].kid = m_list[last].kid;
   m_list[i].op = m_list[last].op;
   m_list[i].order_hash = m_list[last].order_hash;
   m_list[i].token = m_list[last].token;
   m_list[i].body = m_list[last].body;
   m_list[i].ticket = m_list[last].ticket;
   m_list[i].first_ms = m_list[last].first_ms;
   m_list[i].due_ms = m_list[last].due_ms;
   ArrayResize(m_list, last);
}

//--- The next one whose look is due, in turns, so that none waits behind another; -1: none.
int CWatch::Due(long now_ms) {
   int count = ArraySize(m_list);
   for(int k = 0; k < count; k++) {
      int i = (m_turn + k) % count;
      if(m_list[i].due_ms > now_ms) continue;
      m_turn = (i + 1) % count;
      m_list[i].due_ms = now_ms + WATCH_PERIOD_MS;
      return(i);
   }
   return(-1);
}

//--- Note a look, from when to when. True when nothing was seen at two looks `settle_ms` apart
//    (the end of one, the beginning of the other: a PC may stop in the middle), and at none
//    between; a look that could not see begins anew.
bool CWatch::Settled(int i, bool nothing_seen, long began_ms, long ended_ms, long settle_ms) {
   if(!nothing_seen) {
      m_list[i].first_ms = -1;
      return(false);
   }
   if(m_list[i].first_ms < 0) {
      m_list[i].first_ms = ended_ms;
      return(false);
   }
   return(began_ms - m_list[i].first_ms >= settle_ms);
}

int    CWatch::Kind(int i) { return(m_list[i].kind); }
string CWatch::Rid(int i) { return(m_list[i].rid); }
string CWatch::Kid(int i) { return(m_list[i].kid); }
string CWatch::OrderHash(int i) { return(m_list[i].order_hash); }
string CWatch::Op(int i) { return(m_list[i].op); }
string CWatch::Token(int i) { return(m_list[i].token); }
string CWatch::Body(int i) { return(m_list[i].body); }
int    CWatch::Ticket(int i) { return(m_list[i].ticket); }
//+------------------------------------------------------------------+
