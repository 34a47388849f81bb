//+------------------------------------------------------------------+
//| Body.mqh: the one strict reader of request bodies (protocol.md 5) |
//|                                                                   |
//| Read() accepts exactly the bytes that decode_body of messages.py  |
//| accepts. A body has one spelling only, so one pass over the bytes |
//| along the operation's list of fields decides it.                  |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Codes.mqh>
#include <Bridge/Decimal.mqh>

//--- The values are set only as far as Read() got: use them after true alone.
class CBody {
private:
   uchar  m_body[];
   int    m_at;
   bool   m_first;

   //--- the lists of fields, in the order of the wire
   bool   ReadFields(string op);
   bool   ReadOpen(void);
   bool   ReadClose(void);
   bool   ReadModify(void);
   bool   ReadFlatten(void);
   bool   ReadFence(void);
   bool   ReadIds(void);
   //--- one field each, by the kind of its value
   bool   OrderId(string name, string &value);
   bool   Symbol(string name, bool optional, string &value);
   bool   Free(string name, int most, string &value);
   bool   Choice(string name, string choices, string &value);
   bool   Decimal(string name, long &units);
   bool   Integer(string name, long least, long most, long &value);
   //--- the bytes below them
   bool   Skip(string text);
   bool   Name(string name);
   bool   Quoted(string name, string &value);

public:
   string client_order_id;
   string client;
   string symbol;
   string type;
   string stops_fail;
   string comment;
   string scope;
   string reason;
   string rid;
   string inc;
   string cause;
   long   volume;       // lots in 1e-8 units, as are the prices (quote currency)
   long   price;
   long   sl;
   long   tp;
   long   old_sl;
   long   old_tp;
   long   ticket;
   long   expiration;   // UTC ms
   long   iat;          // UTC ms
   long   sequence;
   int    deviation;    // points
   int    strategy;

          CBody(void) { Clear(); }
   void   Clear(void);
   bool   Read(string op, const uchar &body[]);
   bool   StopsOnly(void) const;
};

//--- Forget the last body.
void CBody::Clear(void) {
   ArrayResize(m_body, 0);
   m_at = 0;
   m_first = true;
   client_order_id = "";
   client = "";
   symbol = "";
   type = "";
   stops_fail = "";
   comment = "";
   scope = "";
   reason = "";
   rid = "";
   inc = "";
   cause = "";
   volume = 0;
   price = 0;
   sl = 0;
   tp = 0;
   old_sl = 0;
   old_tp = 0;
   ticket = 0;
   expiration = 0;
   iat = 0;
   sequence = 0;
   deviation = 0;
   strategy = 0;
}

//--- Return whether the bytes are the one legal body of this operation. On false all
//    values are cleared. Call it only once the MAC holds.
bool CBody::Read(string op, const uchar &body[]) {
   Clear();
   int count = ArraySize(body);
   if(count < 2 || count > BODY_BYTES_MAX) return(false);
   if(!BytesPrintable(body, 0, count)) return(false);
   BytesAppend(m_body, body, 0, count);
   if(ReadFields(op) && Skip("}") && m_at == count) return(true);
   Clear();
   return(false);
}

//--- A MODIFY that leaves a pending's price and expiration as they are (protocol.md 5.4).
bool CBody::StopsOnly(void) const {
   return(price == 0);
}

bool CBody::ReadFields(string op) {
   if(op == OP_OPEN) return(ReadOpen());
   if(op == OP_CLOSE) return(ReadClose());
   if(op == OP_MODIFY) return(ReadModify());
   if(op == OP_CANCEL) return(ReadIds() && Integer("ticket", 1, TICKET_MAX, ticket));
   if(op == OP_FLATTEN) return(ReadFlatten());
   if(op == OP_FENCE) return(ReadFence());
   if(op == OP_HALT || op == OP_REDUCE_ONLY) return(Free("reason", REASON_CHARS_MAX, reason));
   if(op == OP_HEARTBEAT) return(Integer("sequence", 0, TICKET_MAX, sequence));
   if(op == OP_RESUME)
      return(Quoted("cause", cause) && TextIsWord(cause)
             && Free("reason", REASON_CHARS_MAX, reason));
   return(false);
}

bool CBody::ReadIds(void) {
   return(OrderId("client_order_id", client_order_id) && OrderId("client", client));
}

bool CBody::ReadOpen(void) {
   long points = 0;
   long number = 0;
   bool read = ReadIds()
               && Symbol("symbol", false, symbol)
               && Choice("type", "|BUY|SELL|BUY_LIMIT|SELL_LIMIT|BUY_STOP|SELL_STOP|", type)
               && Decimal("volume", volume)
               && Decimal("price", price)
               && Decimal("sl", sl)
               && Decimal("tp", tp)
               && Integer("deviation", 0, DEVIATION_POINTS_MAX, points)
               && Integer("expiration", 0, TIME_MS_MAX, expiration)
               && Choice("stops_fail", "|KEEP|CLOSE|", stops_fail)
               && Integer("strategy", 0, STRATEGY_MAX, number)
               && Free("comment", COMMENT_CHARS_MAX, comment);
   deviation = (int)points;
   strategy = (int)number;
   return(read);
}

bool CBody::ReadClose(void) {
   long points = 0;
   bool read = ReadIds()
               && Integer("ticket", 1, TICKET_MAX, ticket)
               && Symbol("symbol", false, symbol)
               && Decimal("volume", volume)
               && Integer("deviation", 0, DEVIATION_POINTS_MAX, points);
   deviation = (int)points;
   return(read);
}

bool CBody::ReadModify(void) {
   return(ReadIds()
          && Integer("ticket", 1, TICKET_MAX, ticket)
          && Decimal("price", price)
          && Decimal("sl", sl)
          && Decimal("tp", tp)
          && Decimal("old_sl", old_sl)
          && Decimal("old_tp", old_tp)
          && Integer("expiration", 0, TIME_MS_MAX, expiration));
}

bool CBody::ReadFlatten(void) {
   return(ReadIds()
          && Choice("scope", "|PENDINGS|POSITIONS|ALL|", scope)
          && Symbol("symbol", true, symbol)
          && Free("reason", REASON_CHARS_MAX, reason));
}

bool CBody::ReadFence(void) {
   return(Quoted("rid", rid) && TextIsRid(rid)
          && Quoted("inc", inc) && TextIsHex(inc, INCARNATION_HEX)
          && Integer("iat", 0, TIME_MS_MAX, iat)
          && Symbol("symbol", true, symbol));
}

//--- [A-Za-z0-9._-]{1,36}
bool CBody::OrderId(string name, string &value) {
   if(!Quoted(name, value)) return(false);
   int count = StringLen(value);
   if(count < 1 || count > CLIENT_ORDER_ID_CHARS_MAX) return(false);
   for(int i = 0; i < count; i++) {
      ushort c = StringGetCharacter(value, i);
      if(!CharIsUpper(c) && !CharIsLower(c) && !CharIsDigit(c) && c != '.' && c != '_' && c != '-')
         return(false);
   }
   return(true);
}

//--- 1 to 31 characters, no colon, no space at the ends.
bool CBody::Symbol(string name, bool optional, string &value) {
   if(!Quoted(name, value)) return(false);
   int count = StringLen(value);
   if(count == 0) return(optional);
   if(count > SYMBOL_CHARS_MAX || StringFind(value, ":") >= 0) return(false);
   return(StringGetCharacter(value, 0) != ' ' && StringGetCharacter(value, count - 1) != ' ');
}

//--- Free text: what Quoted() lets through, up to a length.
bool CBody::Free(string name, int most, string &value) {
   return(Quoted(name, value) && StringLen(value) <= most);
}

//--- One of the words that stand between bars.
bool CBody::Choice(string name, string choices, string &value) {
   if(!Quoted(name, value) || StringFind(value, "|") >= 0) return(false);
   return(StringLen(value) > 0 && StringFind(choices, "|" + value + "|") >= 0);
}

bool CBody::Decimal(string name, long &units) {
   string value = "";
   return(Quoted(name, value) && DecimalParse(value, units));
}

//--- A bare integer: no sign, no leading zero, no fraction, within its bounds.
bool CBody::Integer(string name, long least, long most, long &value) {
   if(!Name(name)) return(false);
   int start = m_at;
   while(m_at < ArraySize(m_body) && CharIsDigit(m_body[m_at])) m_at++;
   return(TextIsInteger(BytesText(m_body, start, m_at - start), most, value) && value >= least);
}

//--- A string without a quote or a backslash in it.
bool CBody::Quoted(string name, string &value) {
   value = "";
   if(!Name(name) || !Skip("\"")) return(false);
   int start = m_at;
   while(m_at < ArraySize(m_body) && m_body[m_at] != '"') {
      if(m_body[m_at] == '\\') return(false);
      m_at++;
   }
   value = BytesText(m_body, start, m_at - start);
   return(Skip("\""));
}

//--- The name of the next field, with what stands before and after it.
bool CBody::Name(string name) {
   string before = m_first ? "{\"" : ",\"";
   m_first = false;
   return(Skip(before + name + "\":"));
}

//--- Go past exactly this text.
bool CBody::Skip(string text) {
   int count = StringLen(text);
   if(m_at + count > ArraySize(m_body)) return(false);
   for(int i = 0; i < count; i++)
      if((ushort)m_body[m_at + i] != StringGetCharacter(text, i)) return(false);
   m_at += count;
   return(true);
}
//+------------------------------------------------------------------+
