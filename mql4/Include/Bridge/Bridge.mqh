//+-------------------------------------------------------------------+
//| Bridge.mqh: the whole Advisor: how it comes up and goes down      |
//|                                                                   |
//| Steps to being up: an account is logged in, the terminal's lock   |
//| is ours, the desk has its journal, the socket is open. Each waits |
//| for what it needs and says once what that is.                     |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Lock.mqh>
#include <Bridge/Pump.mqh>
#include <Bridge/Startup.mqh>

#define BRIDGE_TIMER_MS  1
#define BRIDGE_TURN_MS   180  // one OnTimer: the terminal's other events wait so long
#define BRIDGE_SECOND_MS 1000
#define BRIDGE_KEYS_MS   5000

#define STEP_OFF   0
#define STEP_LOGIN 1
#define STEP_LOCK  2
#define STEP_DESK  3
#define STEP_LINK  4
#define STEP_UP    5

class CBridge {
private:
   CPump m_pump;
   CAccountLock m_lock;
   CStartup m_startup;
   int m_step;
   long m_account;
   string m_dll;
   string m_alias;    // the key file's account, with its mode
   string m_waiting;  // what was said last about waiting
   string m_shown;    // the chart's comment
   uint m_tried;      // GetTickCount of the last time, as the two below
   uint m_beaten;
   uint m_looked;

   void Wait(string text);
   string Alias(void);
   void Climb(void);
   bool StepLogin(void);
   bool StepLock(void);
   bool StepDesk(void);
   bool StepLink(void);
   void Fall(string why);
   void Second(void);
   void Keys(void);
   void Show(void);

public:
   string key_file;  // the inputs: set them before Start
   CDeskInputs inputs;

   CBridge(void);
   bool Start(void);
   void Turn(bool wait);
   void Stop(void);
};

CBridge::CBridge(void) {
   m_step = STEP_OFF;
   m_account = 0;
   m_dll = "";
   m_alias = "";
   m_waiting = "";
   m_shown = "";
   m_tried = 0;
   m_beaten = 0;
   m_looked = 0;
   key_file = "";
}

//--- OnInit. False: a fault of the installation; what it is was printed.
bool CBridge::Start(void) {
   string why = "";
   Stop();
   if(!m_startup.Check(m_pump.desk.room.keys, key_file, why)) {
      Print("Bridge: not started: ", why);
      return(false);
   }
   m_pump.desk.room.clock.Start();
   m_pump.expected = (int)inputs.expected_account;
   m_alias = Alias();
   m_dll = m_startup.Version();
   Print("Bridge: started for ", m_alias, " with ", m_pump.desk.room.keys.Count(),
         " key sets, libzmq ", m_dll);
   m_step = STEP_LOGIN;
   Climb();
   return(true);
}

//--- OnDeinit: whatever is open is closed; at any time, and again.
void CBridge::Stop(void) {
   bool was_up = m_step == STEP_UP;
   m_step = STEP_OFF;
   m_pump.Close(was_up);
   m_pump.desk.Stop();
   m_lock.Leave();
   m_waiting = "";
   if(StringLen(m_shown) > 0) Comment("");
   m_shown = "";
}

//--- OnTimer waits for frames, OnTick does not.
void CBridge::Turn(bool wait) {
   if(m_step == STEP_OFF) return;
   if(m_step != STEP_UP) {
      if(!TickDue(m_tried, BRIDGE_SECOND_MS)) return;
      if(m_step > STEP_LOCK && !m_lock.Beat()) Fall("another Advisor has taken over this account");
      Climb();
      return;
   }
   uint begun = GetTickCount();
   do {
      m_pump.Once(wait);
      if(TickDue(m_beaten, BRIDGE_SECOND_MS)) Second();
   } while(wait && m_step == STEP_UP && !IsStopped() && GetTickCount() - begun < BRIDGE_TURN_MS);
}

//--- What keeps it from being up: printed when it changes, shown on the chart meanwhile.
void CBridge::Wait(string text) {
   if(text != m_waiting && StringLen(text) > 0) Print("Bridge: ", text);
   m_waiting = text;
   Show();
}

string CBridge::Alias(void) {
   return(m_pump.desk.room.keys.Account() + (m_pump.desk.room.keys.Paper() ? " (rehearsal)" : ""));
}

//--- Up as far as it goes now.
void CBridge::Climb(void) {
   if(m_step == STEP_LOGIN && StepLogin()) m_step = STEP_LOCK;
   if(m_step == STEP_LOCK && StepLock()) m_step = STEP_DESK;
   if(m_step == STEP_DESK && StepDesk()) m_step = STEP_LINK;
   if(m_step == STEP_LINK && StepLink()) m_step = STEP_UP;
   if(m_step == STEP_UP) Wait("");
}

bool CBridge::StepLogin(void) {
   m_account = AccountNumber();
   if(m_account != 0) return(true);
   Wait("no account is logged in yet: waiting");
   return(false);
}

bool CBridge::StepLock(void) {
   string instance = m_startup.Instance(m_account);
   m_pump.Begin(instance, m_dll);
   if(m_lock.Take(m_account, m_startup.Number(instance), GetTickCount())) return(true);
   Wait("another Advisor of this terminal serves account " + IntegerToString(m_account)
        + ": this one does nothing; remove one of them");
   return(false);
}

bool CBridge::StepDesk(void) {
   string why = "";
   inputs.instance = m_pump.link.Instance();
   if(m_pump.desk.Start(inputs, why)) {
      if(StringLen(why) > 0) Print("Bridge: ", why);
      return(true);
   }
   m_pump.desk.Stop();
   Wait("nothing can be carried out: " + why);
   return(false);
}

bool CBridge::StepLink(void) {
   if(m_pump.Open()) return(true);
   Wait("libzmq cannot open the link to " + m_pump.desk.room.keys.Endpoint() + " (error "
        + IntegerToString(m_pump.link.Errno()) + "): trying again");
   m_pump.Close(false);
   return(false);
}

//--- Down to the first step, as if just attached.
void CBridge::Fall(string why) {
   Print("Bridge: ", why);
   Stop();
   m_step = STEP_LOGIN;
}

void CBridge::Second(void) {
   if(AccountNumber() != m_account) {
      Fall("another account was logged in");
      return;
   }
   if(!m_lock.Beat()) {
      Fall("another Advisor of this terminal has taken over this account");
      return;
   }
   m_pump.notice.Look(m_pump.desk.room.account, m_pump.expected);
   if(TickDue(m_looked, BRIDGE_KEYS_MS)) Keys();
   if(m_step != STEP_UP) return;
   if(m_pump.Stuck()) {
      m_pump.Close(false);
      m_step = STEP_LINK;
      Climb();
   }
   m_pump.Second();
   Show();
}

//--- The key file may have been replaced: new sets count at once, a bad file changes nothing.
void CBridge::Keys(void) {
   string why = "";
   if(!m_pump.desk.room.keys.Changed()) return;
   if(!m_pump.desk.room.keys.Load(key_file, why)) {
      Print("Bridge: the changed key file is not used, the former keys stay: ", why);
      m_pump.Alert("warning", "EA_KEY_FILE", "the changed key file is not used: " + why);
      return;
   }
   Print("Bridge: the key file was read anew: ", m_pump.desk.room.keys.Count(), " key sets");
   if(Alias() != m_alias) {
      m_alias = Alias();
      Fall("the key file is another account's: beginning anew");
   }
   else if(m_pump.desk.room.keys.LinkChanged()) {
      m_pump.Close(false);
      m_step = STEP_LINK;
      Climb();
   }
}

//--- What the trader sees on the chart.
void CBridge::Show(void) {
   string text = "zero-trust bridge " + QUERY_VERSION + "  " + m_alias + "\n";
   if(m_step != STEP_UP) text += m_waiting;
   else {
      text += (m_pump.Session() ? "server: up" : "server: waiting");
      text += "   state: " + m_pump.desk.room.state.LevelText();
      text += "   dropped: " + IntegerToString(m_pump.link.Dropped());
      if(StringLen(m_pump.notice.Note()) > 0) text += "\n" + m_pump.notice.Note();
   }
   if(text != m_shown) Comment(text);
   m_shown = text;
}
//+-------------------------------------------------------------------+
