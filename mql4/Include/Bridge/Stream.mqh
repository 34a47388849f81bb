//+-------------------------------------------------------------------+
//| Stream.mqh: the EA's signed events: numbered, sealed, sent        |
//|                                                                   |
//| protocol.md 10: stream `ea-<instance>`, numbers from 1. A number  |
//| is given whether or not the event can leave: what was lost shows  |
//| as a gap, and the reader asks for the whole. The heartbeat takes  |
//| no number, its token names the last one given.                    |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Core.mqh>
#include <Bridge/Link.mqh>

class CEventStream {
private:
   string m_name;
   long m_seq;
   long m_lost;

   bool Sign(CKeys &keys, string head, string body, uchar &token[], uchar &raw[]);
   bool Send(CKeys &keys, CLink &link, string json, long now_ms);

public:
   CEventStream(void) { Begin(""); }
   void Begin(string instance);
   long Seq(void) { return(m_seq); }
   long Lost(void) { return(m_lost); }
   bool Publish(CKeys &keys, CLink &link, string json, long now_ms);
   bool Heartbeat(CKeys &keys, CLink &link, string state, long now_ms);
   void Skip(void);
};

void CEventStream::Begin(string instance) {
   m_name = "ea-" + instance;
   m_seq = 0;
   m_lost = 0;
}

//--- token and body as they travel, or false
bool CEventStream::Sign(CKeys &keys, string head, string body, uchar &token[], uchar &raw[]) {
   uchar key[], mac[];
   if(!keys.EventKey(key) || !BytesFromText(head, token) || !BytesFromText(body, raw))
      return(false);
   bool made = ArraySize(raw) <= EVENT_BODY_BYTES_MAX
               && MacMake(key, PURPOSE_EVENT_EA, token, raw, mac)
               && BytesAppendText(token, BytesHex(mac));
   BytesWipe(key);
   return(made);
}

bool CEventStream::Send(CKeys &keys, CLink &link, string json, long now_ms) {
   uchar token[], raw[];
   string body = StringSubstr(json, 0, StringLen(json) - 1);
   body += ",\"server_time\":" + IntegerToString(now_ms) + "}";
   string head = EventHead(keys.EventKid(), keys.Account(), m_name, m_seq, now_ms);
   return(Sign(keys, head, body, token, raw) && link.Event(token, raw));
}

//--- `json` is the body without server_time, the field that comes last
bool CEventStream::Publish(CKeys &keys, CLink &link, string json, long now_ms) {
   m_seq++;
   if(Send(keys, link, json, now_ms)) return(true);
   m_lost++;
   return(false);
}

//--- an event that nobody is there to hear: only its number is used up
void CEventStream::Skip(void) {
   m_seq++;
   m_lost++;
}

bool CEventStream::Heartbeat(CKeys &keys, CLink &link, string state, long now_ms) {
   CJson json;
   json.Begin();
   json.Text("type", "heartbeat");
   json.Text("state", state);
   json.OpenArray("streams");
   json.OpenObject("");
   json.Text("stream", m_name);
   json.Number("seq", m_seq);
   json.Close();
   json.Close();
   return(Send(keys, link, json.Done(), now_ms));
}
//+-------------------------------------------------------------------+
