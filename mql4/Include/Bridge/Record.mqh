//+------------------------------------------------------------------+
//| Record.mqh: the Advisor's word about one request (protocol.md 14) |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Mac.mqh>
#include <Bridge/Decimal.mqh>
#include <Bridge/Codes.mqh>

#define RECORD_PARTS 15

class CRecord {
private:
   bool   Matches(string &parts[], long &ticket_read, long &time_read);

public:
   string kid;
   string acct;
   string rid;
   string op;
   string order_hash;
   string status;
   string code;         // "-": none
   long   ticket;
   string volume;       // lots
   string price;        // quote currency, as are sl and tp
   string sl;
   string tp;
   long   time;         // UTC ms

          CRecord(void) { Clear(); }
   void   Clear(void);
   string Text(void) const;
   bool   Parse(string record);
   bool   Sign(const uchar &key[], string &record, string &mac);
};

void CRecord::Clear(void) {
   kid = "";
   acct = "";
   rid = "";
   op = "";
   order_hash = NO_ORDER_HASH;
   status = "";
   code = CODE_NONE;
   ticket = 0;
   volume = "0";
   price = "0";
   sl = "0";
   tp = "0";
   time = 0;
}

//--- The record's bytes, as they travel in the reply's field `ea`.
string CRecord::Text(void) const {
   return("EA_REC:5:" + kid + ":" + acct + ":" + rid + ":" + op + ":" + order_hash + ":" + status
          + ":" + code + ":" + IntegerToString(ticket) + ":" + volume + ":" + price + ":" + sl
          + ":" + tp + ":" + IntegerToString(time));
}

//--- Return whether the text is a record; the parts are set only then.
bool CRecord::Parse(string record) {
   Clear();
   string parts[];
   long number = 0;
   long at = 0;
   if(StringLen(record) > EA_RECORD_BYTES_MAX) return(false);
   if(StringSplit(record, ':', parts) != RECORD_PARTS) return(false);
   if(!Matches(parts, number, at)) return(false);
   kid = parts[2];
   acct = parts[3];
   rid = parts[4];
   op = parts[5];
   order_hash = parts[6];
   status = parts[7];
   code = parts[8];
   ticket = number;
   volume = parts[10];
   price = parts[11];
   sl = parts[12];
   tp = parts[13];
   time = at;
   return(true);
}

bool CRecord::Matches(string &parts[], long &ticket_read, long &time_read) {
   long units = 0;
   if(parts[0] != "EA_REC" || parts[1] != "5") return(false);
   if(!TextIsKid(parts[2]) || !TextIsAcct(parts[3]) || !TextIsRid(parts[4])) return(false);
   if(!TextIsOp(parts[5]) || !TextIsHex(parts[6], MAC_HEX)) return(false);
   if(!TextIsWord(parts[7])) return(false);
   if(parts[8] != CODE_NONE && !TextIsWord(parts[8])) return(false);
   if(!TextIsNatural(parts[9], ticket_read)) return(false);
   for(int i = 10; i < 14; i++)
      if(!DecimalParse(parts[i], units)) return(false);
   return(TextIsTime(parts[14], time_read));
}

//--- Give the record's text and its MAC under the record's own kid: HMAC(reply<ea,
//    P("reply<ea", record, "")). False, and both empty, if what was filled in is no record:
//    nothing that a reader would refuse is ever signed.
bool CRecord::Sign(const uchar &key[], string &record, string &mac) {
   record = "";
   mac = "";
   string text = Text();
   CRecord check;
   if(!check.Parse(text)) return(false);
   if(!MacOfText(key, PURPOSE_REPLY_EA, text, "", mac)) return(false);
   record = text;
   return(true);
}
//+------------------------------------------------------------------+
