//+------------------------------------------------------------------+
//| Clock.mqh: UTC in ms, a clock that never goes back, and the guard |
//|                                                                   |
//| TimeGMT has whole seconds and follows the PC; the FILETIME of the |
//| system has 100 ns since 1601-01-01 UTC (GetSystemTimeAsFileTime,  |
//| Windows API reference). GetTickCount counts ms since the system   |
//| started and wraps after 49.7 days (MQL4 reference).               |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Limits.mqh>

#import "kernel32.dll"
void GetSystemTimeAsFileTime(uint &filetime[]);    // two halves, the low one first
#import

#define FILETIME_UNIX_MS 11644473600000    // ms from 1601 to 1970
#define TICK_WRAP_MS 4294967296            // 2^32

//--- The guard is that of bridge_core/host/clock.py: each reading is compared with the one
//    before (a step) and with a slow reference (many small steps). More than
//    CLOCK_JUMP_MS_MAX from either makes it unhealthy until CLOCK_STABLE_MS without a jump.
class CClock {
private:
   uint   m_tick;
   long   m_mono_ms;
   long   m_started_ms;
   long   m_offset_ms;
   long   m_seen_ms;
   long   m_reference_us;
   bool   m_unstable;
   long   m_unstable_since_ms;
   long   m_jump_ms;

   void   Follow(long offset_ms, long mono_ms);
   long   Distance(long ms) const { return(ms < 0 ? -ms : ms); }

public:
          CClock(void);
   void   Start(void);
   void   Begin(long wall_ms, long mono_ms);
   void   Poll(void);
   void   Observe(long wall_ms, long mono_ms);
   long   WallMs(void);
   long   MonoMs(void);
   bool   Healthy(void) const;
   long   JumpMs(void) const;
   long   StartedMs(void) const;
};

CClock::CClock(void) {
   m_tick = 0;
   m_mono_ms = 0;
   m_started_ms = 0;
   m_offset_ms = 0;
   m_seen_ms = 0;
   m_reference_us = 0;
   m_unstable = false;
   m_unstable_since_ms = 0;
   m_jump_ms = 0;
}

//--- Take the first reading of both clocks.
void CClock::Start(void) {
   m_tick = GetTickCount();
   m_mono_ms = 0;
   m_started_ms = WallMs();
   Begin(m_started_ms, 0);
}

//--- Guard from this reading on.
void CClock::Begin(long wall_ms, long mono_ms) {
   m_offset_ms = wall_ms - mono_ms;
   m_seen_ms = mono_ms;
   m_reference_us = 1000 * m_offset_ms;
   m_unstable = false;
   m_jump_ms = 0;
}

//--- Compare the clocks; at least once a minute, since over longer gaps honest drift looks
//    like a step (and a wrap of GetTickCount would be missed after 49 days).
void CClock::Poll(void) {
   long mono_ms = MonoMs();
   Observe(WallMs(), mono_ms);
}

//--- UTC ms since 1970.
long CClock::WallMs(void) {
   uint filetime[2];
   ArrayInitialize(filetime, 0);
   GetSystemTimeAsFileTime(filetime);
   long ticks = ((long)filetime[1] << 32) | (long)filetime[0];
   return(ticks / 10000 - FILETIME_UNIX_MS);
}

//--- ms since Start() that no change of the wall clock moves.
long CClock::MonoMs(void) {
   uint tick = GetTickCount();
   long passed = (long)tick - (long)m_tick;
   if(passed < 0) passed += TICK_WRAP_MS;
   m_tick = tick;
   m_mono_ms += passed;
   return(m_mono_ms);
}

//--- Take one reading of both clocks; Healthy() then says whether entries may trust them.
void CClock::Observe(long wall_ms, long mono_ms) {
   long offset_ms = wall_ms - mono_ms;
   long step = offset_ms - m_offset_ms;
   long creep = offset_ms - m_reference_us / 1000;
   long jump = Distance(step) >= Distance(creep) ? step : creep;
   if(Distance(jump) > CLOCK_JUMP_MS_MAX) {
      m_jump_ms = jump;
      m_unstable = true;
      m_unstable_since_ms = mono_ms;
      m_reference_us = 1000 * offset_ms;
   }
   else {
      Follow(offset_ms, mono_ms);
      if(m_unstable && mono_ms - m_unstable_since_ms >= CLOCK_STABLE_MS) m_unstable = false;
   }
   m_offset_ms = offset_ms;
   m_seen_ms = mono_ms;
}

//--- Move the reference towards the offset, no faster than honest slewing.
void CClock::Follow(long offset_ms, long mono_ms) {
   long passed_ms = mono_ms > m_seen_ms ? mono_ms - m_seen_ms : 0;
   long allowed_us = passed_ms * CLOCK_FOLLOW_PPM / 1000;
   long distance_us = 1000 * offset_ms - m_reference_us;
   if(distance_us > allowed_us) distance_us = allowed_us;
   if(distance_us < -allowed_us) distance_us = -allowed_us;
   m_reference_us += distance_us;
}

//--- False from a jump until the offset has been stable for CLOCK_STABLE_MS.
bool CClock::Healthy(void) const {
   return(!m_unstable);
}

//--- The last jump in ms, positive if the wall clock went forward.
long CClock::JumpMs(void) const {
   return(m_jump_ms);
}

//--- UTC ms of Start(): the boot fence counts from here.
long CClock::StartedMs(void) const {
   return(m_started_ms);
}
//+------------------------------------------------------------------+
