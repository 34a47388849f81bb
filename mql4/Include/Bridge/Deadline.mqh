//+------------------------------------------------------------------+
//| Deadline.mqh: a deadline on two clocks, the earlier one counts    |
//|                                                                   |
//| protocol.md 6.4: a wall clock that is set back cannot lengthen an |
//| order's life.                                                     |
//+------------------------------------------------------------------+
#property strict

class CDeadline {
private:
   long   m_wall_ms;
   long   m_mono_ms;

public:
          CDeadline(void) { m_wall_ms = 0; m_mono_ms = 0; }
   void   Set(long wall_deadline_ms, long wall_now_ms, long mono_now_ms);
   bool   Passed(long wall_ms, long mono_ms) const;
   long   Remaining(long wall_ms, long mono_ms) const;
};

//--- The deadline (UTC ms) as seen at the first check.
void CDeadline::Set(long wall_deadline_ms, long wall_now_ms, long mono_now_ms) {
   m_wall_ms = wall_deadline_ms;
   m_mono_ms = mono_now_ms + wall_deadline_ms - wall_now_ms;
}

//--- Return whether either clock has reached it; at the deadline is too late.
bool CDeadline::Passed(long wall_ms, long mono_ms) const {
   return(wall_ms >= m_wall_ms || mono_ms >= m_mono_ms);
}

//--- ms left on the clock that is nearer, never below 0.
long CDeadline::Remaining(long wall_ms, long mono_ms) const {
   long left = m_wall_ms - wall_ms;
   if(m_mono_ms - mono_ms < left) left = m_mono_ms - mono_ms;
   return(left > 0 ? left : 0);
}
//+------------------------------------------------------------------+
