//+-------------------------------------------------------------------+
//| Link.mqh: the hop to the server: whole messages, both ways        |
//|                                                                   |
//| protocol.md 14. The link is also the desk's herald: it says BUSY  |
//| right before a broker call. Nothing here waits except Receive,    |
//| as long as Patience says. A message that cannot leave at once is  |
//| not sent at all; an event lost so leaves a gap in its numbers.    |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Herald.mqh>
#include <Bridge/Hop.mqh>
#include <Bridge/Zmq.mqh>

#define LINK_NOTHING    0
#define LINK_MESSAGE    1
#define LINK_DROPPED    2
#define LINK_BODY_MAX   49152  // protocol.md 14: hop body, bytes
#define LINK_GOODBYE_MS 30     // LINGER is 0: time for BYE to reach the kernel

class CLink : public CHerald {
private:
   CZmqDealer m_dealer;
   string m_instance;
   long m_dropped;
   uchar m_empty[1];

   int Bytes(string text, uchar &out[]) const;
   bool Frame(string text, bool more);
   bool Head(string head, string json, bool more);

public:
   CLink(void);
   void Instance(string instance) { m_instance = instance; }
   string Instance(void) const { return(m_instance); }
   bool IsOpen(void) const { return(m_dealer.IsOpen()); }
   int Errno(void) const { return(m_dealer.Errno()); }
   long Dropped(void) const { return(m_dropped); }
   void Drop(void) { m_dropped++; }
   bool Open(string endpoint, string server_public, string own_public, string own_secret);
   bool Patience(int milliseconds) { return(m_dealer.Wait(milliseconds)); }
   int Receive(CHop &hop, bool wait);
   bool Say(string head, string json);
   bool Hello(string beat) { return(Say("HELLO:" + m_instance, beat)); }
   bool Beat(string beat) { return(Say("BEAT:" + m_instance, beat)); }
   bool Answer(long number, string json);
   bool Event(const uchar &token[], const uchar &body[]);
   virtual void Busy(long number, string rid);
   void Close(bool goodbye);
};

CLink::CLink(void) {
   m_instance = "";
   m_dropped = 0;
   m_empty[0] = 0;
}

bool CLink::Open(string endpoint, string server_public, string own_public, string own_secret) {
   return(m_dealer.Open(endpoint, server_public, own_public, own_secret));
}

//--- UTF-8 without the closing 0 that StringToCharArray appends; a dynamic array never shrinks
int CLink::Bytes(string text, uchar &out[]) const {
   ArrayResize(out, 0);
   if(StringLen(text) == 0) return(0);
   int size = StringToCharArray(text, out, 0, WHOLE_ARRAY, CP_UTF8);
   if(size > 0 && out[size - 1] == 0) size--;
   ArrayResize(out, size);
   return(size);
}

//--- all frames of one message or LINK_DROPPED; the rest of a bad one is read and thrown away
int CLink::Receive(CHop &hop, bool wait) {
   uchar frame[];
   hop.Clear();
   int size = m_dealer.Receive(frame, wait);
   if(size < 0) return(LINK_NOTHING);
   bool good = hop.TakeFrame(0, frame, size);
   int frames = 1;
   while(m_dealer.More()) {
      size = m_dealer.Receive(frame, false);
      good = good && size >= 0 && hop.TakeFrame(frames, frame, size);
      if(size < 0) break;
      frames++;
   }
   if(good && hop.Complete(frames)) return(LINK_MESSAGE);
   hop.Clear();
   m_dropped++;
   return(LINK_DROPPED);
}

bool CLink::Frame(string text, bool more) {
   uchar raw[];
   int size = Bytes(text, raw);
   if(size == 0) return(m_dealer.Send(m_empty, 0, more));
   return(m_dealer.Send(raw, size, more));
}

//--- the four frames of the hop; after a refused frame libzmq has thrown the whole message away
bool CLink::Head(string head, string json, bool more) {
   if(StringLen(head) > HOP_HEAD_BYTES_MAX) return(false);
   uchar raw[];
   int size = Bytes(json, raw);
   if(size < 2 || size > LINK_BODY_MAX) return(false);
   return(m_dealer.Send(m_empty, 0, true) && Frame("ZTH5", true) && Frame(head, true)
           && m_dealer.Send(raw, size, more));
}

//--- a message without an order's frames; false: not sent, and it never will be
bool CLink::Say(string head, string json) {
   return(Head(head, json, false));
}

bool CLink::Answer(long number, string json) {
   return(Say("ANSWER:" + IntegerToString(number), json));
}

bool CLink::Event(const uchar &token[], const uchar &body[]) {
   if(ArraySize(token) == 0 || ArraySize(body) == 0) return(false);
   return(Head("EVENT", "{}", true) && Frame("ZTB5", true)
           && m_dealer.Send(token, ArraySize(token), true)
           && m_dealer.Send(body, ArraySize(body), false));
}

//--- from the desk, right before a broker call: from now on silence is no death for 60 s
void CLink::Busy(long number, string rid) {
   bool told = Say("BUSY:" + IntegerToString(number) + ":" + rid, "{}");
   if(!told) return;  // nobody listens: the order was journaled, its outcome will be asked for
}

//--- idempotent; with `goodbye` the server hears at once that it may take a new instance
void CLink::Close(bool goodbye) {
   if(goodbye && m_dealer.IsOpen() && Say("BYE:" + m_instance, "{}")
      && m_dealer.Wait(LINK_GOODBYE_MS)) {
      uchar late[];
      int size = m_dealer.Receive(late, true);
      if(size >= 0) m_dropped++;  // too late for an answer: the server will ask STATUS
   }
   m_dealer.Close();
}
//+-------------------------------------------------------------------+
