//+------------------------------------------------------------------+
//| Token.mqh: the request token's grammar (protocol.md 3)            |
//|                                                                   |
//| The whole token is matched, byte for byte from first to last,     |
//| before an integer of it is read. A parsed token is not yet an     |
//| authentic one.                                                    |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Text.mqh>

#define TOKEN_PARTS 11
#define NO_MAC "-"

class CToken {
private:
   bool   Matches(string &parts[]);

public:
   string prefix;
   string kid;
   string acct;
   string op;
   string rid;
   string inc;
   string mac_ea;
   string mac_srv;
   long   iat;          // UTC ms
   int    ttl;          // ms

          CToken(void) { Clear(); }
   void   Clear(void);
   bool   Parse(const uchar &token[]);
   long   Deadline(void) const;
   void   Head(const uchar &token[], uchar &head[]) const;
};

void CToken::Clear(void) {
   prefix = "";
   kid = "";
   acct = "";
   op = "";
   rid = "";
   inc = "";
   mac_ea = "";
   mac_srv = "";
   iat = 0;
   ttl = 0;
}

//--- Return whether the bytes are a request token; the parts are set only then.
bool CToken::Parse(const uchar &token[]) {
   Clear();
   int count = ArraySize(token);
   if(count < 1 || count > TOKEN_BYTES_MAX || !BytesPrintable(token, 0, count)) return(false);
   string parts[];
   if(StringSplit(BytesText(token, 0, count), ':', parts) != TOKEN_PARTS) return(false);
   if(!Matches(parts)) return(false);
   prefix = parts[0];
   kid = parts[2];
   acct = parts[3];
   op = parts[4];
   rid = parts[5];
   iat = StringToInteger(parts[6]);
   ttl = (int)StringToInteger(parts[7]);
   inc = parts[8];
   mac_ea = parts[9];
   mac_srv = parts[10];
   return(true);
}

//--- Return whether each part has its shape.
bool CToken::Matches(string &parts[]) {
   long time = 0;
   long life = 0;
   if(parts[0] != "RISK_PASS" && parts[0] != "AUTH_PASS") return(false);
   if(parts[1] != "5") return(false);
   if(!TextIsKid(parts[2]) || !TextIsAcct(parts[3]) || !TextIsOp(parts[4])) return(false);
   if(!TextIsRid(parts[5]) || !TextIsTime(parts[6], time)) return(false);
   if(!TextIsInteger(parts[7], TTL_MS_MAX, life) || life < TTL_MS_MIN) return(false);
   if(!TextIsHex(parts[8], INCARNATION_HEX)) return(false);
   if(parts[9] != NO_MAC && !TextIsHex(parts[9], MAC_HEX)) return(false);
   return(TextIsHex(parts[10], MAC_HEX));
}

//--- UTC ms at which the request is dead.
long CToken::Deadline(void) const {
   return(iat + ttl);
}

//--- The bytes as received, up to and including the colon before mac-ea: what mac-ea and
//    order-hash cover. Nothing is written anew to be verified.
void CToken::Head(const uchar &token[], uchar &head[]) const {
   ArrayResize(head, 0);
   BytesAppend(head, token, 0, ArraySize(token) - StringLen(mac_ea) - 1 - MAC_HEX);
}

//--- head-evt: an event's token up to and including the colon before its MAC.
string EventHead(string kid, string acct, string stream, long seq, long time_ms) {
   return("RISK_EVENT:5:" + kid + ":" + acct + ":" + stream + ":" + IntegerToString(seq) + ":"
          + IntegerToString(time_ms) + ":");
}
//+------------------------------------------------------------------+
