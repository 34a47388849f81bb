//+------------------------------------------------------------------+
//| Tag.mqh: request id -> what the broker shows of it                |
//|                                                                   |
//| protocol.md 5.6 (children of a FLATTEN) and 5.7 (magic, comment). |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Hash.mqh>
#include <Bridge/Text.mqh>

#define TAG_CHARS 12

//--- Base32 (RFC 4648, upper case) of 7 bytes from `start`, its first 11 characters.
string TagBase32(const uchar &data[], int start) {
   string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
   string text = "";
   int bits = 0;
   int held = 0;
   for(int i = 0; i < 7; i++) {
      held = ((held << 8) | (int)data[start + i]) & 0xFFFFF;
      bits += 8;
      while(bits >= 5) {
         bits -= 5;
         text += StringSubstr(alphabet, (held >> bits) & 31, 1);
      }
   }
   return(StringSubstr(text, 0, TAG_CHARS - 1));
}

//--- magic (31 bits) and comment (12 characters) of a request id on an account. A magic of 0
//    would read as "no magic": false, and the signer should have drawn another rid.
bool TagMake(string acct, string rid, int &magic, string &comment) {
   uchar data[], digest[];
   magic = 0;
   comment = "";
   if(!BytesAppendText(data, "ztbridge/v5/tag")) return(false);
   BytesAppendBig(data, 0, 1);
   if(!BytesAppendText(data, acct)) return(false);
   BytesAppendBig(data, 0, 1);
   if(!BytesAppendText(data, rid) || !Sha256(data, digest)) return(false);
   long high = 0;
   for(int i = 0; i < 4; i++) high = 256 * high + digest[i];
   magic = (int)(high >> 1);
   comment = "Z" + TagBase32(digest, 8);
   return(magic != 0);
}

//--- The tag, then the user's comment as far as MetaTrader 4 keeps it.
string TagComment(string tag, string comment) {
   string whole = tag + " " + comment;
   int count = StringLen(whole);
   while(count > 0 && StringGetCharacter(whole, count - 1) == ' ') count--;
   if(count > MT4_COMMENT_CHARS) count = MT4_COMMENT_CHARS;
   return(StringSubstr(whole, 0, count));
}

//--- The rid of a FLATTEN's child for one ticket (protocol.md 5.6).
bool TagChildRid(string rid, long ticket, string &child) {
   uchar data[], digest[];
   child = "";
   if(!BytesAppendText(data, "ztbridge/v5/child")) return(false);
   BytesAppendBig(data, 0, 1);
   if(!BytesAppendText(data, rid)) return(false);
   BytesAppendBig(data, 0, 1);
   if(!BytesAppendText(data, IntegerToString(ticket)) || !Sha256(data, digest)) return(false);
   child = StringSubstr(BytesHex(digest), 0, RID_HEX);
   return(true);
}
//+------------------------------------------------------------------+
