//+------------------------------------------------------------------+
//| Zone.mqh: the broker's clock against UTC                          |
//|                                                                   |
//| MetaTrader 4 gives and takes every time by the broker's own clock |
//| (MQL4 reference, dateandtime/timecurrent) and never says how it   |
//| stands to UTC. A quote that has just arrived shows it: its time   |
//| less the PC's UTC time, to the quarter of an hour. The quote that |
//| stood there at first, or came while the terminal logged in, may   |
//| be old: so two quotes have to agree, as far apart by the broker's |
//| clock as by ours. On a quiet market what was known stays true.    |
//| Inside the Advisor times are the broker's; what comes in or goes  |
//| out is UTC (protocol.md 14.2).                                    |
//+------------------------------------------------------------------+
#property strict

#define ZONE_STEP_MS   900000      // zones differ by quarters of an hour
#define ZONE_WEST_MS   43200000    // UTC-12
#define ZONE_EAST_MS   50400000    // UTC+14
#define ZONE_DOUBT_MS  300000      // how far a PC's clock and a quote's way may stand apart
#define ZONE_APART_MS  1000        // two quotes of one measurement, at least
#define ZONE_PACE_MS   2000        // and how equally both clocks have to have gone on

class CZone {
private:
   bool   m_known;
   long   m_offset_ms;        // broker's clock - UTC
   bool   m_begun;            // a first quote was seen
   long   m_last_s;           // the broker's time of the last one
   bool   m_first;            // one quote of a measurement is there:
   long   m_first_offset_ms;
   long   m_first_ms;         // its time, broker's ms
   long   m_first_mono_ms;    // when it came

   bool   Agrees(long offset_ms, long market_ms, long mono_ms);
   bool   Adopt(long offset_ms);

public:
          CZone(void) { Reset(); }
   void   Reset(void);
   void   CopyFrom(CZone &other);
   void   Restore(long offset_ms);
   void   Blind(void);
   bool   Observe(long market_s, long wall_ms, long mono_ms);
   bool   Known(void) { return(m_known); }
   long   OffsetMs(void) { return(m_offset_ms); }
   long   ToUtcMs(long market_ms);
   long   FromUtcMs(long utc_ms);
   string Text(void);
};

//--- Whether an offset is one that a zone can have.
bool ZoneIsOffset(long offset_ms) {
   return(offset_ms >= -ZONE_WEST_MS && offset_ms <= ZONE_EAST_MS
          && offset_ms % ZONE_STEP_MS == 0);
}

void CZone::Reset(void) {
   m_known = false;
   m_offset_ms = 0;
   Blind();
}

void CZone::CopyFrom(CZone &other) {
   m_known = other.m_known;
   m_offset_ms = other.m_offset_ms;
}

//--- Take what an earlier run measured (the state file).
void CZone::Restore(long offset_ms) {
   Reset();
   m_known = ZoneIsOffset(offset_ms);
   m_offset_ms = m_known ? offset_ms : 0;
}

//--- Not connected, another account, or the PC's clock is in doubt: the next quote proves nothing.
void CZone::Blind(void) {
   m_begun = false;
   m_last_s = 0;
   m_first = false;
   m_first_offset_ms = 0;
   m_first_ms = 0;
   m_first_mono_ms = 0;
}

//--- Look at the time of the last quote (broker's seconds); true: the zone is new or has changed.
bool CZone::Observe(long market_s, long wall_ms, long mono_ms) {
   if(market_s <= 0 || (m_begun && market_s == m_last_s)) return(false);
   bool fresh = m_begun;
   m_begun = true;
   m_last_s = market_s;
   if(!fresh) return(false);
   long market_ms = 1000 * market_s;
   long gap_ms = market_ms - wall_ms;
   // Counted from the west end, and so above 0: MQL4 divides towards zero.
   long steps = (gap_ms + ZONE_WEST_MS + ZONE_STEP_MS + ZONE_STEP_MS / 2) / ZONE_STEP_MS;
   long offset_ms = (steps - 1) * ZONE_STEP_MS - ZONE_WEST_MS;
   long beside_ms = gap_ms > offset_ms ? gap_ms - offset_ms : offset_ms - gap_ms;
   if(!ZoneIsOffset(offset_ms) || beside_ms > ZONE_DOUBT_MS
      || (m_known && offset_ms == m_offset_ms)) {
      m_first = false;
      return(false);
   }
   if(Agrees(offset_ms, market_ms, mono_ms))
      return(mono_ms - m_first_mono_ms >= ZONE_APART_MS && Adopt(offset_ms));
   m_first = true;
   m_first_offset_ms = offset_ms;
   m_first_ms = market_ms;
   m_first_mono_ms = mono_ms;
   return(false);
}

//--- Whether this quote and the first one are of one zone, and both came as they were made.
bool CZone::Agrees(long offset_ms, long market_ms, long mono_ms) {
   if(!m_first || offset_ms != m_first_offset_ms) return(false);
   long drift_ms = (market_ms - m_first_ms) - (mono_ms - m_first_mono_ms);
   return(drift_ms <= ZONE_PACE_MS && drift_ms >= -ZONE_PACE_MS);
}

bool CZone::Adopt(long offset_ms) {
   m_known = true;
   m_offset_ms = offset_ms;
   m_first = false;
   return(true);
}

//--- The UTC time (ms) of a broker's time (ms); 0, "none", stays. While the zone is not known the
//    broker's time stays as it is, and the beat says so.
long CZone::ToUtcMs(long market_ms) {
   if(!m_known || market_ms == 0) return(market_ms);
   long utc_ms = market_ms - m_offset_ms;
   return(utc_ms > 0 ? utc_ms : 1);
}

//--- The broker's time (ms) of a UTC time (ms); 0 stays.
long CZone::FromUtcMs(long utc_ms) {
   if(!m_known || utc_ms == 0) return(utc_ms);
   long market_ms = utc_ms + m_offset_ms;
   return(market_ms > 0 ? market_ms : 1);
}

//--- As people write it: UTC+02:00.
string CZone::Text(void) {
   long minutes = (m_offset_ms < 0 ? -m_offset_ms : m_offset_ms) / 60000;
   return((m_offset_ms < 0 ? "UTC-" : "UTC+") + StringFormat("%02d:%02d", (int)(minutes / 60),
                                                             (int)(minutes % 60)));
}
//+------------------------------------------------------------------+
