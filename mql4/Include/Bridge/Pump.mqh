//+-------------------------------------------------------------------+
//| Pump.mqh: one turn: what came in, what it does, what goes out     |
//|                                                                   |
//| It waits in zmq_recv, a few ms at a time: a frame is acted on     |
//| when it arrives, and an idle Advisor sleeps. Everything else that |
//| is due, the desk's own work, events, beats, follows each wait.    |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Desk.mqh>
#include <Bridge/Events.mqh>
#include <Bridge/Link.mqh>
#include <Bridge/Notice.mqh>
#include <Bridge/Queries.mqh>
#include <Bridge/Stream.mqh>
#include <Bridge/Ticks.mqh>

#define PUMP_WAIT_MS    15  // one zmq_recv
#define PUMP_MESSAGES   32  // in one go, then the clock, the desk and the beats
#define PUMP_SECOND_MS  1000
#define PUMP_SCAN_MS    100
#define PUMP_HELLO_MS   100  // while there is no connection
#define PUMP_SILENCE_MS 3000
#define PUMP_STUCK_MS   5000  // without a connection: see Stuck

class CPump {
private:
   CHop m_hop;
   CEvents m_events;
   CEventStream m_stream;
   CQueries m_queries;
   CTicks m_ticks;
   bool m_greeted;        // a HELLO left, and nothing failed since
   bool m_session;        // and WELCOME came back
   string m_incarnation;  // of the server that said it
   uint m_scanned;        // GetTickCount of the last time, as all below
   uint m_hello;
   uint m_heard;
   uint m_alone;  // since when nothing could leave

   void Handle(void);
   void Welcome(void);
   void Order(void);
   void Word(void);
   void Ask(void);
   void Answer(string json);
   void Facts(void);
   void Scan(void);
   void Tell(void);
   void Lost(void);
   void Greet(void);
   string Beat(void);

public:
   CDesk desk;
   CLink link;
   CNotice notice;
   int expected;  // the account of the inputs, 0: none was given

   CPump(void);
   bool Session(void) { return(m_session); }
   bool Mismatch(void);
   bool Stuck(void);
   void Begin(string instance, string dll);
   bool Open(void);
   void Close(bool goodbye);
   void Once(bool wait);
   void Second(void);
   void Alert(string level, string code, string message);
};

CPump::CPump(void) {
   m_greeted = false;
   m_session = false;
   m_incarnation = "";
   m_scanned = 0;
   m_hello = 0;
   m_heard = 0;
   m_alone = 0;
   expected = 0;
}

bool TickDue(uint &last, uint period) {
   uint tick = GetTickCount();
   if(tick - last < period) return(false);
   last = tick;
   return(true);
}

//--- A new instance: its events count from 1, what is there now is no news.
void CPump::Begin(string instance, string dll) {
   link.Instance(instance);
   m_queries.instance = instance;
   m_queries.dll = dll;
   m_stream.Begin(instance);
   m_events.Begin();
}

//--- The socket of the key file's endpoint; libzmq connects in the background, again and again.
bool CPump::Open(void) {
   m_greeted = false;
   m_session = false;
   m_alone = GetTickCount();
   m_ticks.Begin(desk.room.caps);
   return(link.Open(desk.room.keys.Endpoint(), desk.room.keys.ServerPublic(),
                     desk.room.keys.CurvePublic(), desk.room.keys.CurveSecret())
           && link.Patience(PUMP_WAIT_MS));
}

//--- libzmq gives a connection up for good when its peer breaks the rules (a frame beyond
//    MAXMSGSIZE): only a new socket connects again.
bool CPump::Stuck(void) {
   return(!m_greeted && GetTickCount() - m_alone > PUMP_STUCK_MS);
}

void CPump::Close(bool goodbye) {
   link.Close(goodbye && m_greeted);
   m_greeted = false;
   m_session = false;
}

//--- One wait for a message, and everything that is due.
void CPump::Once(bool wait) {
   int messages = 0;
   bool fresh = RefreshRates();  // false: nothing was newer
   if(!fresh) ResetLastError();
   int got = link.Receive(m_hop, wait);
   desk.room.clock.Poll();
   while(got != LINK_NOTHING) {
      if(got == LINK_MESSAGE) Handle();
      messages++;
      if(messages >= PUMP_MESSAGES || IsStopped()) break;
      got = link.Receive(m_hop, false);
   }
   desk.Turn(link);
   m_events.Follow(desk.room.market.zone);
   if(TickDue(m_scanned, PUMP_SCAN_MS)) Scan();
   Tell();
   Greet();
   if(m_session && !Mismatch()) m_ticks.Look(desk.room.caps, desk.room.market.zone, link);
}

void CPump::Handle(void) {
   m_heard = GetTickCount();
   if(m_hop.word == "WELCOME") Welcome();
   else if(m_hop.word == "EXEC" || m_hop.word == "FORWARD") Order();
   else if(m_hop.word == "STATUS" || m_hop.word == "TOMBSTONE") Word();
   else Ask();
}

//--- The server took this instance; another incarnation is another run of the server.
void CPump::Welcome(void) {
   string incarnation = m_hop.part[1];
   if(!TextIsHex(incarnation, INCARNATION_HEX)) {
      link.Drop();
      return;
   }
   if(!m_session || incarnation != m_incarnation)
      Print("Bridge: the link to the server is up (", incarnation, ")");
   m_session = true;
   m_incarnation = incarnation;
}

void CPump::Answer(string json) {
   if(!link.Answer(m_hop.number, json)) Lost();
}

//--- An order's frames. What does not verify gets no answer, only a number in the beat.
void CPump::Order(void) {
   CWord word;
   bool is_word = true;
   string state = "";
   bool answered = false;
   if(m_hop.word == "EXEC")
      answered = desk.Exec(m_hop.number, m_hop.part[2], m_hop.token, m_hop.body, link, word);
   else answered = desk.Forward(m_hop.token, m_hop.body, word, is_word, state);
   if(answered) Answer(is_word ? word.Json() : state);
   else link.Drop();
   Scan();
}

void CPump::Word(void) {
   CWord word;
   string rid = m_hop.part[2];
   bool known = TextIsRid(rid);
   if(known && m_hop.word == "STATUS") desk.Status(rid, word);
   else if(known) known = TextIsKid(m_hop.part[3]) && desk.Tombstone(rid, m_hop.part[3], word);
   if(known) Answer(word.Json());
   else link.Drop();
}

//--- Is this another account than the one of the inputs? Its book is nobody's business.
bool CPump::Mismatch(void) {
   string wanted = "", found = "";
   if(expected == 0) return(false);
   return(!desk.room.account.IsRight(wanted, found));
}

void CPump::Ask(void) {
   string json = "";
   if(Mismatch() && m_hop.word != "HEALTH") json = QueryError(CODE_ACCOUNT_MISMATCH);
   else {
      Scan();  // so that `book` is not older than the rows
      Facts();
      if(!m_queries.Answer(m_hop, desk, m_events.origin, json)) {
         link.Drop();
         return;
      }
   }
   Answer(json);
}

//--- Compare the book; what it finds is told at once.
void CPump::Scan(void) {
   if(Mismatch()) return;
   m_scanned = GetTickCount();
   if(m_events.Scan(desk.room.journal, m_scanned)) Tell();
}

//--- Alerts of the desk, then every event that waits; without a session only the numbers go.
void CPump::Tell(void) {
   string level = "", code = "", message = "";
   while(desk.TakeAlert(level, code, message)) {
      Print("Bridge: ", level, " ", code, ": ", message);
      m_events.Alert(level, code, message);
   }
   for(int i = 0; i < m_events.Count(); i++) {
      if(!m_session) m_stream.Skip();
      else if(!m_stream.Publish(desk.room.keys, link, m_events.Take(i), desk.room.clock.WallMs()))
         Lost();
   }
   m_events.Forget();
}

//--- A message could not leave: there is no connection. The socket makes a new one by itself.
void CPump::Lost(void) {
   if(m_session) Print("Bridge: the link to the server is down: waiting for it");
   m_session = false;
   m_greeted = false;
   m_alone = GetTickCount();
}

//--- HELLO until WELCOME: at once when there is a connection, then each second.
void CPump::Greet(void) {
   if(m_session || !TickDue(m_hello, m_greeted ? PUMP_SECOND_MS : PUMP_HELLO_MS)) return;
   m_greeted = link.Hello(Beat());
}

//--- What a beat says that the desk does not know.
void CPump::Facts(void) {
   m_queries.book = m_events.Book();
   m_queries.seq = m_stream.Seq();
   m_queries.dropped = link.Dropped();
   m_queries.note = notice.Note();
}

string CPump::Beat(void) {
   Facts();
   return(m_queries.Beat(desk));
}

//--- Each second: the beat, the heartbeat of the event stream, the money.
void CPump::Second(void) {
   if(!Mismatch()) m_events.Account();
   if(!m_session) return;
   // Silence may be a server that is new and does not know us: HELLO is a beat too.
   bool silent = GetTickCount() - m_heard > PUMP_SILENCE_MS;
   bool sent = silent ? link.Hello(Beat()) : link.Beat(Beat());
   if(sent && !Mismatch())
      sent = m_stream.Heartbeat(desk.room.keys, link, desk.room.state.LevelText(),
                                desk.room.clock.WallMs());
   if(!sent) Lost();
}

void CPump::Alert(string level, string code, string message) {
   m_events.Alert(level, code, message);
}
//+-------------------------------------------------------------------+
