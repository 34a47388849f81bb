//+------------------------------------------------------------------+
//| Mac.mqh: what bytes a MAC covers (protocol.md 4.4)                |
//|                                                                   |
//| P(purpose, head, body) = "ztbridge" 00 "mac" 00 "v5" 00           |
//|                          LP1(purpose) LP2(head) LP4(body)         |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Hash.mqh>
#include <Bridge/Text.mqh>

#define PURPOSE_ORDER_EA "order>ea"
#define PURPOSE_ADMIN_EA "admin>ea"
#define PURPOSE_REPLY_EA "reply<ea"
#define PURPOSE_EVENT_EA "event<ea"
#define PURPOSE_ORDER_HASH "order"

//--- Fill `out` with P(purpose, head, body): injective, since every part carries its length.
bool MacInput(string purpose, const uchar &head[], const uchar &body[], uchar &out[]) {
   int heads = ArraySize(head);
   int bodies = ArraySize(body);
   ArrayResize(out, 0);
   if(heads > 0xFFFF) return(false);
   ArrayResize(out, 0, 32 + heads + bodies);
   BytesAppendText(out, "ztbridge");
   BytesAppendBig(out, 0, 1);
   BytesAppendText(out, "mac");
   BytesAppendBig(out, 0, 1);
   BytesAppendText(out, "v5");
   BytesAppendBig(out, 0, 1);
   BytesAppendBig(out, StringLen(purpose), 1);
   BytesAppendText(out, purpose);
   BytesAppendBig(out, heads, 2);
   BytesAppend(out, head, 0, heads);
   BytesAppendBig(out, bodies, 4);
   BytesAppend(out, body, 0, bodies);
   return(true);
}

//--- Fill `mac` with the 32 raw bytes; false without a key of 32 bytes.
bool MacMake(const uchar &key[], string purpose, const uchar &head[], const uchar &body[],
             uchar &mac[]) {
   uchar input_bytes[];
   ArrayResize(mac, 0);
   if(!MacInput(purpose, head, body, input_bytes)) return(false);
   return(HmacSha256(key, input_bytes, mac));
}

//--- Return whether the claimed MAC (64 hex digits) holds. A missing key (empty array)
//    costs the same time as a wrong one; "-" never holds.
bool MacHolds(const uchar &key[], string purpose, const uchar &head[], const uchar &body[],
              string claimed) {
   uchar wanted[], given[], dummy[];
   bool known = ArraySize(key) == KEY_BYTES;
   ArrayResize(dummy, KEY_BYTES);
   ArrayInitialize(dummy, 0);
   if(known) ArrayCopy(dummy, key, 0, 0, KEY_BYTES);
   bool made = MacMake(dummy, purpose, head, body, wanted);
   BytesWipe(dummy);
   bool read = BytesFromHex(claimed, HASH_BYTES, given);
   bool same = BytesSame(wanted, given);
   return(known && made && read && same && ArraySize(wanted) == HASH_BYTES);
}

//--- order-hash = SHA-256(P("order", head-req, F2)), in hex (protocol.md 4.8).
bool MacOrderHash(const uchar &head[], const uchar &body[], string &hex) {
   uchar input_bytes[], digest[];
   hex = "";
   if(!MacInput(PURPOSE_ORDER_HASH, head, body, input_bytes)) return(false);
   if(!Sha256(input_bytes, digest)) return(false);
   hex = BytesHex(digest);
   return(true);
}

//--- Sign text under a purpose with an empty body: the EA's record (protocol.md 4.6).
bool MacOfText(const uchar &key[], string purpose, string head_text, string body_text,
               string &hex) {
   uchar head[], body[], mac[];
   hex = "";
   if(!BytesFromText(head_text, head) || !BytesFromText(body_text, body)) return(false);
   if(!MacMake(key, purpose, head, body, mac)) return(false);
   hex = BytesHex(mac);
   return(true);
}
//+------------------------------------------------------------------+
