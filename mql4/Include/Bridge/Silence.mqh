//+------------------------------------------------------------------+
//| Silence.mqh: how long no heartbeat came, and what that has led to |
//|                                                                   |
//| Part of the state file (State.mqh), as `dead PHASE NUMBER`:       |
//|    armed  a heartbeat came; the next long silence fires           |
//|    fired  it has, and the policy is being carried out             |
//|    back   a heartbeat came meanwhile: what has begun is ended     |
//|    done   nothing is left to do until the next heartbeat          |
//| Without that line no heartbeat came yet, and nothing fires.       |
//| NUMBER counts its FLATTENs, so that none is ever done twice.      |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Limits.mqh>
#include <Bridge/Text.mqh>

#define SILENCE_NEVER -1

#define PHASE_NONE 0
#define PHASE_ARMED 1
#define PHASE_FIRED 2
#define PHASE_BACK 3
#define PHASE_DONE 4

class CSilence {
private:
   int    m_phase;
   long   m_number;
   long   m_beat_mono_ms;
   long   m_alive_mono_ms;
   bool   m_dead;

   string Word(void) const;

public:
          CSilence(void) { Reset(); }
   void   Reset(void);
   bool   Take(string word, string number);
   string Line(void) const;
   bool   Heard(long mono_ms);
   bool   Look(int seconds, bool acts, long mono_ms);
   bool   Dead(void) const { return(m_dead); }
   bool   Acts(void) const { return(m_phase == PHASE_FIRED || m_phase == PHASE_BACK); }
   bool   IsBack(void) const { return(m_phase == PHASE_BACK); }
   long   Number(void) const { return(m_number); }
   void   Again(void) { m_number++; }
   void   Done(void);
   string Text(void) const;
};

void CSilence::Reset(void) {
   m_phase = PHASE_NONE;
   m_number = 0;
   m_beat_mono_ms = SILENCE_NEVER;
   m_alive_mono_ms = SILENCE_NEVER;
   m_dead = false;
}

string CSilence::Word(void) const {
   switch(m_phase) {
      case PHASE_ARMED: return("armed");
      case PHASE_FIRED: return("fired");
      case PHASE_BACK:  return("back");
      case PHASE_DONE:  return("done");
      default: break;
   }
   return("");
}

//--- Take the two words of the state file; false if they are none. What had fired without a
//    heartbeat since has fired: a restart is no sign of life.
bool CSilence::Take(string word, string number) {
   if(m_phase != PHASE_NONE || !TextIsInteger(number, LONG_MAX, m_number)) return(false);
   for(m_phase = PHASE_ARMED; m_phase <= PHASE_DONE; m_phase++)
      if(Word() == word) break;
   m_dead = m_phase == PHASE_FIRED || m_phase == PHASE_DONE;
   return(m_phase <= PHASE_DONE);
}

//--- The line of the state file, "" while there is nothing to say.
string CSilence::Line(void) const {
   if(m_phase == PHASE_NONE) return("");
   return("dead " + Word() + " " + IntegerToString(m_number) + "\n");
}

//--- Take a heartbeat signed at this time of the monotonic clock; true: write the state file.
bool CSilence::Heard(long mono_ms) {
   int phase = m_phase;
   if(mono_ms > m_beat_mono_ms) m_beat_mono_ms = mono_ms;
   if(m_phase == PHASE_FIRED) m_phase = PHASE_BACK;
   else if(m_phase != PHASE_BACK) m_phase = PHASE_ARMED;
   return(m_phase != phase);
}

//--- REDUCE_ONLY when no heartbeat came for `seconds` (0: off), until they came again for
//    CONDITION_CLEAR_MS. What had been armed fires besides, once for one silence; `acts`: there
//    is a policy to carry out. True: write the state file.
bool CSilence::Look(int seconds, bool acts, long mono_ms) {
   if(seconds <= 0) {
      m_dead = false;
      return(false);
   }
   if(m_beat_mono_ms == SILENCE_NEVER) m_beat_mono_ms = mono_ms;
   if(mono_ms - m_beat_mono_ms > 1000 * (long)seconds) {
      m_dead = true;
      m_alive_mono_ms = SILENCE_NEVER;
      if(m_phase != PHASE_ARMED && m_phase != PHASE_BACK) return(false);
      m_phase = acts ? PHASE_FIRED : PHASE_DONE;
      m_number++;
      return(true);
   }
   bool silent = m_phase == PHASE_FIRED || m_phase == PHASE_DONE;
   if(silent) m_alive_mono_ms = SILENCE_NEVER;
   else if(m_dead && m_alive_mono_ms == SILENCE_NEVER) m_alive_mono_ms = mono_ms;
   else if(m_dead && mono_ms - m_alive_mono_ms >= CONDITION_CLEAR_MS) m_dead = false;
   return(false);
}

//--- The policy has been carried out, as far as it goes.
void CSilence::Done(void) {
   m_phase = m_phase == PHASE_BACK ? PHASE_ARMED : PHASE_DONE;
}

//--- For the beat: what a person is told.
string CSilence::Text(void) const {
   if(m_phase == PHASE_NONE) return("waiting for the first heartbeat");
   if(m_phase == PHASE_ARMED || m_phase == PHASE_BACK) return("armed");
   return("fired");
}
//+------------------------------------------------------------------+
