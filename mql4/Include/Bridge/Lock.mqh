//+-------------------------------------------------------------------+
//| Lock.mqh: one running EA per account in this terminal             |
//|                                                                   |
//| A terminal variable holds the owner's number. It is temporary: it |
//| dies with the terminal and is never written to disk. It is taken  |
//| and left by GlobalVariableSetOnCondition, which is atomic. An EA  |
//| that a critical error stopped cannot leave it: a second variable  |
//| counts the owner's beats, and one that has not moved for longer   |
//| than a broker call may last is taken over.                        |
//+-------------------------------------------------------------------+
#property strict

#define LOCK_SILENT_MS 90000  // a broker call may take 60 s

class CAccountLock {
private:
   string m_owner;
   string m_beats;
   double m_mine;
   bool m_held;
   double m_seen;
   uint m_since;

   bool Make(string name) const;
   bool Silent(const uint tick);

public:
   CAccountLock(void);
   bool Held(void) const { return(m_held); }
   bool Take(const long account, const double mine, const uint tick);
   bool Beat(void);
   void Leave(void);
};

CAccountLock::CAccountLock(void) {
   m_owner = "";
   m_beats = "";
   m_mine = 0;
   m_held = false;
   m_seen = -1;
   m_since = 0;
}

bool CAccountLock::Make(string name) const {
   return(GlobalVariableCheck(name) || GlobalVariableTemp(name) || GlobalVariableCheck(name));
}

//--- `mine` is not 0 and no other instance's; `tick` GetTickCount. False: somebody else holds it
bool CAccountLock::Take(const long account, const double mine, const uint tick) {
   string owner = "ztb.owner." + IntegerToString(account);
   if(m_held && owner == m_owner) return(true);
   Leave();
   if(owner != m_owner) m_seen = -1;
   m_owner = owner;
   m_beats = "ztb.beats." + IntegerToString(account);
   m_mine = mine;
   if(!Make(m_owner) || !Make(m_beats)) return(false);
   m_held = GlobalVariableSetOnCondition(m_owner, m_mine, 0);
   if(!m_held && Silent(tick))
      m_held = GlobalVariableSetOnCondition(m_owner, m_mine, GlobalVariableGet(m_owner));
   return(m_held);
}

//--- whether the owner's beats stood still since we first looked, long enough to call it dead
bool CAccountLock::Silent(const uint tick) {
   double beats = GlobalVariableGet(m_beats);
   if(m_seen < 0 || beats != m_seen) {
      m_seen = beats;
      m_since = tick;
      return(false);
   }
   return(tick - m_since > LOCK_SILENT_MS);
}

//--- each second; false: it is no longer ours (somebody took us for dead)
bool CAccountLock::Beat(void) {
   if(!m_held) return(false);
   m_held = (GlobalVariableGet(m_owner) == m_mine);
   if(m_held && GlobalVariableSet(m_beats, GlobalVariableGet(m_beats) + 1) == 0) m_held = false;
   m_seen = -1;
   return(m_held);
}

void CAccountLock::Leave(void) {
   if(m_held && !GlobalVariableSetOnCondition(m_owner, 0, m_mine)) m_seen = -1;
   m_held = false;
}
//+-------------------------------------------------------------------+
