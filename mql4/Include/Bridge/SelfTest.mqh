//+------------------------------------------------------------------+
//| SelfTest.mqh: the shared vectors, run inside the terminal         |
//|                                                                   |
//| An Advisor whose hashes, tokens, bodies or tags differ from those |
//| of the other side by one byte must not connect.                   |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Vectors.mqh>
#include <Bridge/Body.mqh>
#include <Bridge/Record.mqh>
#include <Bridge/Tag.mqh>
#include <Bridge/Token.mqh>

#define SELF_TEST_GROUPS "hmac mac order no_token no_body record no_record decimal no_decimal tag"

class CSelfTest {
private:
   int    m_failures;
   string m_report;
   string m_value[];    // of the vector at hand; 0 is its group

   bool   Holds(string group);
   bool   Hmac(void);
   bool   Mac(void);
   bool   Order(void);
   bool   Record(void);
   bool   Decimal(void);
   bool   Tag(void);
   bool   Refused(string group);
   void   Hex(int i, uchar &data[]);
   void   Shown(int i, uchar &data[]);

public:
          CSelfTest(void) { m_failures = 0; m_report = ""; }
   bool   Run(void);
   string Report(void) const { return(m_report); }
   int    Failures(void) const { return(m_failures); }
};

//--- Run all vectors. The report has one line for each group and one for the whole.
bool CSelfTest::Run(void) {
   string groups[];
   int total = ArraySize(g_vectors);
   int seen = 0;
   m_failures = 0;
   m_report = "";
   int count = StringSplit(SELF_TEST_GROUPS, ' ', groups);
   for(int g = 0; g < count; g++) {
      int good = 0;
      int tried = 0;
      for(int i = 0; i < total; i++) {
         StringSplit(g_vectors[i], '\t', m_value);
         if(m_value[0] != groups[g]) continue;
         tried++;
         if(Holds(groups[g])) good++;
      }
      seen += tried;
      m_failures += tried - good + (tried == 0 ? 1 : 0);
      m_report += (tried > 0 && good == tried ? "PASS " : "FAIL ") + groups[g] + ": "
                 + IntegerToString(good) + " of " + IntegerToString(tried) + "\n";
   }
   if(seen != total) m_failures++;
   m_report += (m_failures == 0 ? "PASS" : "FAIL") + ": " + IntegerToString(seen)
              + " vectors, " + IntegerToString(m_failures) + " failures";
   return(m_failures == 0);
}

bool CSelfTest::Holds(string group) {
   if(group == "hmac") return(Hmac());
   if(group == "mac") return(Mac());
   if(group == "order") return(Order());
   if(group == "record") return(Record());
   if(group == "decimal") return(Decimal());
   if(group == "tag") return(Tag());
   return(Refused(group));
}

//--- Bytes in hex, "-" for none.
void CSelfTest::Hex(int i, uchar &data[]) {
   ArrayResize(data, 0);
   if(m_value[i] != "-") BytesFromHex(m_value[i], StringLen(m_value[i]) / 2, data);
}

//--- Bytes behind "=" as text or behind "#" in hex.
void CSelfTest::Shown(int i, uchar &data[]) {
   string text = StringSubstr(m_value[i], 1);
   ArrayResize(data, 0);
   if(StringSubstr(m_value[i], 0, 1) == "=") BytesFromText(text, data);
   else BytesFromHex(text, StringLen(text) / 2, data);
}

//--- RFC 4231: key, data, HMAC.
bool CSelfTest::Hmac(void) {
   uchar key[], data[], mac[];
   Hex(1, key);
   Hex(2, data);
   return(HmacAnyKey(key, data, mac) && BytesHex(mac) == m_value[3]);
}

//--- key, purpose, head, body, MAC.
bool CSelfTest::Mac(void) {
   uchar key[], head[], body[], mac[];
   Hex(1, key);
   Hex(3, head);
   Hex(4, body);
   return(MacMake(key, m_value[2], head, body, mac) && BytesHex(mac) == m_value[5]);
}

//--- key, purpose, token, order-hash, op, body: a signed request that must be taken, and not
//    when a byte of it is another.
bool CSelfTest::Order(void) {
   uchar key[], token[], body[], head[];
   CToken parts;
   CBody read;
   string hash = "";
   Hex(1, key);
   if(!BytesFromText(m_value[3], token) || !BytesFromText(m_value[6], body)) return(false);
   if(!parts.Parse(token) || parts.op != m_value[5] || !read.Read(parts.op, body)) return(false);
   parts.Head(token, head);
   if(!MacHolds(key, m_value[2], head, body, parts.mac_ea)) return(false);
   if(!MacOrderHash(head, body, hash) || hash != m_value[4]) return(false);
   body[ArraySize(body) / 2] ^= 1;
   return(!MacHolds(key, m_value[2], head, body, parts.mac_ea));
}

//--- key, record, MAC.
bool CSelfTest::Record(void) {
   uchar key[];
   CRecord record;
   string text = "";
   string mac = "";
   Hex(1, key);
   if(!record.Parse(m_value[2]) || !record.Sign(key, text, mac)) return(false);
   return(text == m_value[2] && mac == m_value[3]);
}

//--- text, units of 1e-8.
bool CSelfTest::Decimal(void) {
   long units = 0;
   return(DecimalParse(m_value[1], units) && IntegerToString(units) == m_value[2]);
}

//--- acct, rid, magic, comment, ticket, rid of the child.
bool CSelfTest::Tag(void) {
   int magic = 0;
   string text = "";
   if(!TagMake(m_value[1], m_value[2], magic, text)) return(false);
   if(IntegerToString(magic) != m_value[3] || text != m_value[4]) return(false);
   return(TagChildRid(m_value[2], StringToInteger(m_value[5]), text) && text == m_value[6]);
}

//--- What must not be taken.
bool CSelfTest::Refused(string group) {
   uchar data[];
   CToken token;
   CBody body;
   CRecord record;
   long units = 0;
   if(group == "no_token") {
      Shown(1, data);
      return(!token.Parse(data));
   }
   if(group == "no_body") {
      Shown(2, data);
      return(!body.Read(m_value[1], data));
   }
   if(group == "no_record") return(!record.Parse(m_value[1]));
   return(group == "no_decimal" && !DecimalParse(m_value[1], units));
}
//+------------------------------------------------------------------+
