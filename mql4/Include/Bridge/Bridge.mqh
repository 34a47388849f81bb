//+-------------------------------------------------------------------+
//| Bridge.mqh: the whole Advisor: its life, and the pump             |
//|                                                                   |
//| Steps to being up: an account is logged in, the terminal's lock   |
//| is ours, the desk has its journal, the socket is open. Each waits |
//| for what it needs and says once what that is. The pump then waits |
//| in zmq_recv, a few ms at a time, so that a frame is acted on when |
//| it arrives and an idle Advisor sleeps.                            |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Desk.mqh>
#include <Bridge/Events.mqh>
#include <Bridge/Link.mqh>
#include <Bridge/Lock.mqh>
#include <Bridge/Notice.mqh>
#include <Bridge/Queries.mqh>
#include <Bridge/Startup.mqh>
#include <Bridge/Stream.mqh>
#include <Bridge/Ticks.mqh>

#define BRIDGE_TIMER_MS   1
#define BRIDGE_WAIT_MS    15   // one zmq_recv
#define BRIDGE_TURN_MS    180  // one OnTimer; events of the terminal wait so long
#define BRIDGE_MESSAGES   32   // in one go, then the clock, the desk and the beats
#define BRIDGE_SECOND_MS  1000
#define BRIDGE_SCAN_MS    100
#define BRIDGE_HELLO_MS   100  // while there is no connection
#define BRIDGE_SILENCE_MS 3000
#define BRIDGE_KEYS_MS    5000

#define STEP_OFF   0
#define STEP_LOGIN 1
#define STEP_LOCK  2
#define STEP_DESK  3
#define STEP_LINK  4
#define STEP_UP    5

class CBridge {
private:
   CDesk m_desk;
   CLink m_link;
   CHop m_hop;
   CEvents m_events;
   CEventStream m_stream;
   CQueries m_queries;
   CAccountLock m_lock;
   CNotice m_notice;
   CStartup m_startup;
   CTicks m_ticks;
   int m_step;
   long m_account;
   string m_alias;        // the key file's account, with its mode
   bool m_greeted;        // a HELLO left, and nothing failed since
   bool m_session;        // and WELCOME came back
   string m_incarnation;  // of the server that said it
   string m_waiting;      // what was said last about waiting
   string m_shown;        // the chart's comment
   uint m_tried;          // GetTickCount of the last time, as all below
   uint m_scanned;
   uint m_beaten;
   uint m_hello;
   uint m_heard;
   uint m_looked;

   // up and down
   void Wait(string text);
   bool Due(uint &last, uint period);
   string Alias(void);
   void Climb(void);
   bool StepLogin(void);
   bool StepLock(void);
   bool StepDesk(void);
   bool StepLink(void);
   void Fall(string why);
   // the pump
   void Once(bool wait);
   void Handle(void);
   void Welcome(void);
   void Order(void);
   void Word(void);
   void Ask(void);
   bool Mismatch(void);
   void Answer(string json);
   // what comes by itself
   void Scan(void);
   void Tell(void);
   void Lost(void);
   void Second(void);
   void Greet(void);
   void Keys(void);
   string Beat(void);
   void Show(void);

public:
   string key_file;  // the inputs: set them before Start
   SDeskInputs inputs;

   CBridge(void);
   bool Start(void);
   void Turn(bool wait);
   void Stop(void);
};

CBridge::CBridge(void) {
   m_step = STEP_OFF;
   m_account = 0;
   m_alias = "";
   m_greeted = false;
   m_session = false;
   m_incarnation = "";
   m_waiting = "";
   m_shown = "";
   m_tried = 0;
   m_scanned = 0;
   m_beaten = 0;
   m_hello = 0;
   m_heard = 0;
   m_looked = 0;
   key_file = "";
}

//--- OnInit. False: a fault of the installation; what it is was printed.
bool CBridge::Start(void) {
   string why = "";
   Stop();
   m_desk.room.clock.Start();
   if(!m_startup.Check(m_desk.room.keys, key_file, why)) {
      Print("Bridge: not started: ", why);
      return(false);
   }
   m_alias = Alias();
   m_queries.dll = m_startup.Version();
   m_step = STEP_LOGIN;
   Print("Bridge: started for ", m_alias, " with ", m_desk.room.keys.Count(), " key sets, libzmq ",
         m_queries.dll);
   Climb();
   return(true);
}

//--- OnDeinit: whatever is open is closed; at any time, and again.
void CBridge::Stop(void) {
   m_step = STEP_OFF;
   m_link.Close(m_greeted);
   m_desk.Stop();
   m_lock.Leave();
   m_greeted = false;
   m_session = false;
   m_waiting = "";
   if(StringLen(m_shown) > 0) Comment("");
   m_shown = "";
}

//--- OnTimer waits for frames, OnTick does not.
void CBridge::Turn(bool wait) {
   if(m_step == STEP_OFF) return;
   if(m_step != STEP_UP) {
      if(Due(m_tried, BRIDGE_SECOND_MS)) Climb();
      return;
   }
   uint begun = GetTickCount();
   Once(wait);
   while(wait && m_step == STEP_UP && !IsStopped() && GetTickCount() - begun < BRIDGE_TURN_MS)
      Once(true);
}

bool CBridge::Due(uint &last, uint period) {
   uint tick = GetTickCount();
   if(tick - last < period) return(false);
   last = tick;
   return(true);
}

//--- What keeps it from being up: printed when it changes, shown on the chart meanwhile.
void CBridge::Wait(string text) {
   if(text != m_waiting && StringLen(text) > 0) Print("Bridge: ", text);
   m_waiting = text;
   Show();
}

string CBridge::Alias(void) {
   return(m_desk.room.keys.Account() + (m_desk.room.keys.Paper() ? " (rehearsal)" : ""));
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
   m_link.Instance(instance);
   m_queries.instance = instance;
   if(m_lock.Take(m_account, m_startup.Number(instance), GetTickCount())) return(true);
   Wait("another Advisor of this terminal serves account " + IntegerToString(m_account)
        + ": this one does nothing; remove one of them");
   return(false);
}

bool CBridge::StepDesk(void) {
   string why = "";
   m_stream.Begin(m_link.Instance());
   m_events.Begin();
   if(m_desk.Start(inputs, why)) {
      m_ticks.Begin(m_desk.room.caps);
      return(true);
   }
   m_desk.Stop();
   Wait("nothing can be carried out: " + why);
   return(false);
}

bool CBridge::StepLink(void) {
   m_greeted = false;
   m_session = false;
   if(m_link.Open(m_desk.room.keys.Endpoint(), m_desk.room.keys.ServerPublic(),
                  m_desk.room.keys.CurvePublic(), m_desk.room.keys.CurveSecret())
      && m_link.Patience(BRIDGE_WAIT_MS))
      return(true);
   Wait("libzmq cannot open the link to " + m_desk.room.keys.Endpoint() + " (error "
        + IntegerToString(m_link.Errno()) + "): trying again");
   m_link.Close(false);
   return(false);
}

//--- Down to the first step, as if just attached.
void CBridge::Fall(string why) {
   Print("Bridge: ", why);
   Stop();
   m_step = STEP_LOGIN;
}

//--- One wait for a message, and everything that is due.
void CBridge::Once(bool wait) {
   int messages = 0;
   bool fresh = RefreshRates();  // false: nothing was newer
   if(!fresh) ResetLastError();
   int got = m_link.Receive(m_hop, wait);
   m_desk.room.clock.Poll();
   while(got != LINK_NOTHING) {
      if(got == LINK_MESSAGE) Handle();
      messages++;
      if(messages >= BRIDGE_MESSAGES || IsStopped()) break;
      got = m_link.Receive(m_hop, false);
   }
   m_desk.Turn(m_link);
   if(Due(m_scanned, BRIDGE_SCAN_MS)) Scan();
   Tell();
   Greet();
   if(m_session && !Mismatch()) m_ticks.Look(m_desk.room.caps, m_link);
   if(Due(m_beaten, BRIDGE_SECOND_MS)) Second();
}

void CBridge::Handle(void) {
   m_heard = GetTickCount();
   if(m_hop.word == "WELCOME") Welcome();
   else if(m_hop.word == "EXEC" || m_hop.word == "FORWARD") Order();
   else if(m_hop.word == "STATUS" || m_hop.word == "TOMBSTONE") Word();
   else Ask();
}

//--- The server took this instance; another incarnation is another run of the server.
void CBridge::Welcome(void) {
   string incarnation = m_hop.part[1];
   if(!TextIsHex(incarnation, INCARNATION_HEX)) {
      m_link.Drop();
      return;
   }
   if(!m_session || incarnation != m_incarnation)
      Print("Bridge: the link to the server is up (", incarnation, ")");
   m_session = true;
   m_incarnation = incarnation;
}

void CBridge::Answer(string json) {
   if(!m_link.Answer(m_hop.number, json)) Lost();
}

//--- An order's frames. What does not verify gets no answer, only a number in the beat.
void CBridge::Order(void) {
   CWord word;
   bool is_word = true;
   string state = "";
   bool answered = false;
   if(m_hop.word == "EXEC")
      answered = m_desk.Exec(m_hop.number, m_hop.part[2], m_hop.token, m_hop.body, m_link, word);
   else answered = m_desk.Forward(m_hop.number, m_hop.token, m_hop.body, word, is_word, state);
   if(answered) Answer(is_word ? word.Json() : state);
   else m_link.Drop();
   Scan();
}

void CBridge::Word(void) {
   CWord word;
   string rid = m_hop.part[2];
   bool known = TextIsRid(rid);
   if(known && m_hop.word == "STATUS") m_desk.Status(rid, word);
   else if(known) known = TextIsKid(m_hop.part[3]) && m_desk.Tombstone(rid, m_hop.part[3], word);
   if(known) Answer(word.Json());
   else m_link.Drop();
}

//--- Is this another account than the one of the inputs? Its book is nobody's business.
bool CBridge::Mismatch(void) {
   string wanted = "", found = "";
   if(inputs.expected_account == 0) return(false);
   return(!m_desk.room.account.IsRight(wanted, found));
}

void CBridge::Ask(void) {
   string json = "";
   if(Mismatch() && m_hop.word != "HEALTH") json = QueryError(CODE_ACCOUNT_MISMATCH);
   else {
      Scan();  // so that `book` is not older than the rows
      m_queries.book = m_events.Book();
      m_queries.seq = m_stream.Seq();
      m_queries.dropped = m_link.Dropped();
      m_queries.note = m_notice.Note();
      if(!m_queries.Answer(m_hop, m_desk, json)) {
         m_link.Drop();
         return;
      }
   }
   Answer(json);
}

//--- Compare the book; what it finds is told at once.
void CBridge::Scan(void) {
   if(Mismatch()) return;
   m_scanned = GetTickCount();
   if(m_events.Scan(m_desk.room.journal, m_scanned)) Tell();
}

//--- Alerts of the desk, then every event that waits; without a session only the numbers go.
void CBridge::Tell(void) {
   string level = "", code = "", message = "";
   while(m_desk.TakeAlert(level, code, message)) {
      Print("Bridge: ", level, " ", code, ": ", message);
      m_events.Alert(level, code, message);
   }
   for(int i = 0; i < m_events.Count(); i++) {
      if(!m_session) m_stream.Skip();
      else if(!m_stream.Publish(m_desk.room.keys, m_link, m_events.Take(i),
                                m_desk.room.clock.WallMs()))
         Lost();
   }
   m_events.Forget();
}

//--- A message could not leave: there is no connection. The socket makes a new one by itself.
void CBridge::Lost(void) {
   if(m_session) Print("Bridge: the link to the server is down: waiting for it");
   m_session = false;
   m_greeted = false;
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
   m_notice.Look(m_desk.room.account, inputs.expected_account);
   if(Due(m_looked, BRIDGE_KEYS_MS)) Keys();
   if(m_step != STEP_UP) return;
   if(m_session) {
      // Silence may be a server that is new and does not know us: HELLO is a beat too.
      bool silent = GetTickCount() - m_heard > BRIDGE_SILENCE_MS;
      bool sent = silent ? m_link.Hello(Beat()) : m_link.Beat(Beat());
      if(sent && !Mismatch())
         sent = m_stream.Heartbeat(m_desk.room.keys, m_link, m_desk.room.state.LevelText(),
                                   m_desk.room.clock.WallMs());
      if(!sent) Lost();
   }
   if(!Mismatch()) m_events.Account();
   Show();
}

//--- HELLO until WELCOME: at once when there is a connection, then each second.
void CBridge::Greet(void) {
   if(m_session || !Due(m_hello, m_greeted ? BRIDGE_SECOND_MS : BRIDGE_HELLO_MS)) return;
   m_greeted = m_link.Hello(Beat());
}

string CBridge::Beat(void) {
   m_queries.book = m_events.Book();
   m_queries.seq = m_stream.Seq();
   m_queries.dropped = m_link.Dropped();
   m_queries.note = m_notice.Note();
   return(m_queries.Beat(m_desk));
}

//--- The key file may have been replaced: new sets count at once, a bad file changes nothing.
void CBridge::Keys(void) {
   string why = "";
   if(!m_desk.room.keys.Changed()) return;
   if(!m_desk.room.keys.Load(key_file, why)) {
      Print("Bridge: the changed key file is not used, the former keys stay: ", why);
      m_events.Alert("warning", "EA_KEY_FILE", "the changed key file is not used: " + why);
      return;
   }
   Print("Bridge: the key file was read anew: ", m_desk.room.keys.Count(), " key sets");
   if(Alias() != m_alias) {
      m_alias = Alias();
      Fall("the key file is another account's: beginning anew");
   }
   else if(m_desk.room.keys.LinkChanged()) {
      m_link.Close(false);
      m_step = STEP_LINK;
      Climb();
   }
}

//--- What the trader sees on the chart.
void CBridge::Show(void) {
   string text = "zero-trust bridge " + QUERY_VERSION + "  " + m_alias + "\n";
   if(m_step != STEP_UP) text += m_waiting;
   else {
      text += (m_session ? "server: up" : "server: waiting") + "   state: "
              + m_desk.room.state.LevelText() + "   dropped: " + IntegerToString(m_link.Dropped());
      if(StringLen(m_notice.Note()) > 0) text += "\n" + m_notice.Note();
   }
   if(text != m_shown) Comment(text);
   m_shown = text;
}
//+-------------------------------------------------------------------+
