//+------------------------------------------------------------------+
//| Pace.mqh: when a protective step may be tried again               |
//|                                                                   |
//| In memory only: a restart tries at once.                          |
//+------------------------------------------------------------------+
#property strict

#define PACE_FIRST_MS 1000             // after the first try, doubling
#define PACE_MOST_MS 32000

class CPace {
private:
   string m_rid[];
   int    m_tries[];
   long   m_due_ms[];

   int    Slot(string rid);

public:
   bool   IsDue(string rid, long now_ms);
   int    Tried(string rid, long now_ms);
   int    Tries(string rid);
   void   Again(string rid);
   void   Later(string rid, long now_ms);
   void   Forget(string rid);
};

bool CPace::IsDue(string rid, long now_ms) {
   return(m_due_ms[Slot(rid)] <= now_ms);
}

//--- Count a try; the next is due after 1, 2, 4 and so on to 32 s. The number of tries so far.
int CPace::Tried(string rid, long now_ms) {
   int i = Slot(rid);
   long pause = PACE_FIRST_MS;
   for(int k = 0; k < m_tries[i] && pause < PACE_MOST_MS; k++) pause *= 2;
   m_tries[i]++;
   m_due_ms[i] = now_ms + pause;
   return(m_tries[i]);
}

int CPace::Tries(string rid) {
   return(m_tries[Slot(rid)]);
}

//--- Start anew, at once.
void CPace::Again(string rid) {
   int i = Slot(rid);
   m_tries[i] = 0;
   m_due_ms[i] = 0;
}

//--- Nothing could be tried; look again soon.
void CPace::Later(string rid, long now_ms) {
   m_due_ms[Slot(rid)] = now_ms + PACE_FIRST_MS;
}

void CPace::Forget(string rid) {
   int last = ArraySize(m_rid) - 1;
   for(int i = 0; i <= last; i++) {
      if(m_rid[i] != rid) continue;
      m_rid[i] = m_rid[last];
      m_tries[i] = m_tries[last];
      m_due_ms[i] = m_due_ms[last];
      ArrayResize(m_rid, last);
      ArrayResize(m_tries, last);
      ArrayResize(m_due_ms, last);
      return;
   }
}

int CPace::Slot(string rid) {
   int count = ArraySize(m_rid);
   for(int i = 0; i < count; i++)
      if(m_rid[i] == rid) return(i);
   ArrayResize(m_rid, count + 1);
   ArrayResize(m_tries, count + 1);
   ArrayResize(m_due_ms, count + 1);
   m_rid[count] = rid;
   m_tries[count] = 0;
   m_due_ms[count] = 0;
   return(count);
}
//+------------------------------------------------------------------+
