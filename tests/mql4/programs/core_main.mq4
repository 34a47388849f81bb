//+------------------------------------------------------------------+
//| core_main.mq4: the Advisor's floor, called line by line           |
//|                                                                   |
//| Reads MQL4/Files/core_in.txt at the start and at each tick, one   |
//| call a line, words between tabs, bytes in hex; prints one answer  |
//| for each behind "=", and "done".                                  |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Core.mqh>
#include "core_store.mqh"

string g_words[];

string Word(int i) { return(i < ArraySize(g_words) ? g_words[i] : ""); }
long   Number(int i) { return(StringToInteger(Word(i))); }
string Bool(bool value) { return(value ? "1" : "0"); }

//--- Bytes in hex; "-" is none.
void Bytes(int i, uchar &data[]) {
   ArrayResize(data, 0);
   string hex = Word(i);
   if(hex != "-") BytesFromHex(hex, StringLen(hex) / 2, data);
}

string Macs(string what) {
   uchar key[], head[], body[], out[];
   string hex = "";
   Bytes(1, key);
   if(what == "hmac" || what == "hmac32") {
      Bytes(2, body);
      bool made = what == "hmac" ? HmacAnyKey(key, body, out) : HmacSha256(key, body, out);
      return(Bool(made) + "\t" + BytesHex(out));
   }
   if(what == "order_hash") {
      Bytes(2, body);
      return(Bool(MacOrderHash(key, body, hex)) + "\t" + hex);
   }
   Bytes(3, head);
   Bytes(4, body);
   if(what == "holds") return(Bool(MacHolds(key, Word(2), head, body, Word(5))));
   bool made = MacMake(key, Word(2), head, body, out);
   return(Bool(made) + "\t" + BytesHex(out));
}

string Tokens(void) {
   uchar data[], head[];
   CToken token;
   Bytes(1, data);
   if(!token.Parse(data)) return("0");
   token.Head(data, head);
   return("1\t" + token.prefix + "\t" + token.kid + "\t" + token.acct + "\t" + token.op + "\t"
          + token.rid + "\t" + IntegerToString(token.iat) + "\t" + IntegerToString(token.ttl)
          + "\t" + token.inc + "\t" + token.mac_ea + "\t" + token.mac_srv + "\t"
          + IntegerToString(token.Deadline()) + "\t" + IntegerToString(ArraySize(head)));
}

//--- All values, so that a value in the wrong field shows too.
string Bodies(void) {
   uchar data[];
   CBody b;
   Bytes(2, data);
   if(!b.Read(Word(1), data)) return("0");
   string texts = b.client_order_id + "\t" + b.client + "\t" + b.symbol + "\t" + b.type + "\t"
                  + b.stops_fail + "\t" + b.comment + "\t" + b.scope + "\t" + b.reason + "\t"
                  + b.rid + "\t" + b.inc + "\t" + b.cause;
   string units = DecimalText(b.volume, 8) + "\t" + DecimalText(b.price, 8) + "\t"
                  + DecimalText(b.sl, 8) + "\t" + DecimalText(b.tp, 8) + "\t"
                  + DecimalText(b.old_sl, 8) + "\t" + DecimalText(b.old_tp, 8);
   return("1\t" + texts + "\t" + units + "\t" + IntegerToString(b.ticket) + "\t"
          + IntegerToString(b.expiration) + "\t" + IntegerToString(b.iat) + "\t"
          + IntegerToString(b.sequence) + "\t" + IntegerToString(b.deviation) + "\t"
          + IntegerToString(b.strategy));
}

string Records(string what) {
   uchar key[];
   CRecord record;
   string text = "";
   string mac = "";
   if(what == "record") {
      Bytes(1, key);
      bool read = record.Parse(BytesText(key, 0, ArraySize(key)));
      return(Bool(read) + "\t" + (read ? record.Text() : ""));
   }
   Bytes(1, key);
   record.kid = Word(2);
   record.acct = Word(3);
   record.rid = Word(4);
   record.op = Word(5);
   record.order_hash = Word(6);
   record.status = Word(7);
   record.code = Word(8);
   record.ticket = Number(9);
   record.volume = Word(10);
   record.price = Word(11);
   record.sl = Word(12);
   record.tp = Word(13);
   record.time = Number(14);
   bool made = record.Sign(key, text, mac);
   return(Bool(made) + "\t" + text + "\t" + mac);
}

string Decimals(string what) {
   uchar data[];
   long units = 0;
   long above = 0;
   if(what == "decimal") {
      Bytes(1, data);
      string text = BytesText(data, 0, ArraySize(data));
      if(StringLen(text) != ArraySize(data) || !DecimalParse(text, units)) return("0");
      return("1\t" + IntegerToString(units) + "\t" + DecimalShort(units) + "\t"
             + DoubleToString(DecimalToDouble(units, 8), 8));
   }
   if(what == "from_double") {
      bool made = DecimalFromDouble(StringToDouble(Word(1)), (int)Number(2), units);
      return(Bool(made) + "\t" + IntegerToString(units) + "\t"
             + DecimalOf(StringToDouble(Word(1)), (int)Number(2)));
   }
   if(what == "decimal_text") return(DecimalText(Number(1), (int)Number(2)));
   if(what == "digits") return(Bool(DecimalHasDigits(Number(1), (int)Number(2))));
   DecimalNearest(Number(1), Number(2), units, above);
   return(Bool(DecimalOnGrid(Number(1), Number(2))) + "\t" + IntegerToString(units) + "\t"
          + IntegerToString(above));
}

string Tags(string what) {
   int magic = 0;
   string text = "";
   if(what == "child") return(Bool(TagChildRid(Word(1), Number(2), text)) + "\t" + text);
   if(what == "comment") return(TagComment(Word(1), Word(2)));
   bool made = TagMake(Word(1), Word(2), magic, text);
   return(Bool(made) + "\t" + IntegerToString(magic) + "\t" + text);
}

//--- Code units in hex, four digits each, since a line is ASCII.
string Units(int i) {
   string text = "";
   string hex = Word(i);
   uchar pair[];
   for(int at = 0; at + 4 <= StringLen(hex); at += 4) {
      BytesFromHex(StringSubstr(hex, at, 4), 2, pair);
      text = text + ShortToString((ushort)(256 * pair[0] + pair[1]));
   }
   return(text);
}

string Jsons(string what) {
   CJson json;
   CFlatJson flat;
   if(what == "json_quote") {
      json.Text("a", Units(1));
      json.Number("n", -7);
      string text = json.Done();
      bool same = flat.Read(text) && flat.Text("a") == Units(1) && flat.Number("n") == -7;
      return(Bool(same) + "\t" + text);
   }
   if(what == "flat") {
      bool read = flat.Read(Units(1));
      string value = flat.Text(Word(2)) + "\t" + IntegerToString(flat.Number(Word(2)));
      return(Bool(read) + "\t" + value);
   }
   json.Number("n", 1);
   json.OpenArray("rows");
   for(int i = 0; i < 2; i++) {
      json.OpenObject("");
      json.Decimal("price", 1.1 + i, 5);
      json.Flag("open", i == 0);
      json.Close();
   }
   json.Close();
   json.OpenArray("none");
   json.Close();
   json.Raw("raw", "[1]");
   return(json.Done());
}

string Shapes(void) {
   long value = 0;
   string s = Word(1);
   return(Bool(TextIsRid(s)) + Bool(TextIsKid(s)) + Bool(TextIsAcct(s)) + Bool(TextIsOp(s))
          + Bool(TextIsWord(s)) + Bool(TextIsTime(s, value)) + Bool(TextIsNatural(s, value))
          + "\t" + IntegerToString(value));
}

string Answer(string what) {
   if(what == "hmac" || what == "hmac32" || what == "order_hash" || what == "holds"
      || what == "mac") return(Macs(what));
   if(what == "token") return(Tokens());
   if(what == "body") return(Bodies());
   if(what == "record" || what == "sign") return(Records(what));
   if(what == "decimal" || what == "from_double" || what == "decimal_text" || what == "digits"
      || what == "grid") return(Decimals(what));
   if(what == "tag" || what == "child" || what == "comment") return(Tags(what));
   if(what == "json_quote" || what == "flat" || what == "json") return(Jsons(what));
   if(what == "shape") return(Shapes());
   if(what == "ticks") return(IntegerToString(GetTickCount()));
   return(StoreAnswer(what, g_words));
}

//--- Answer the calls that lie there, then say so.
void Batch(void) {
   uchar data[];
   string lines[];
   int handle = FileOpen("core_in.txt", FILE_READ | FILE_BIN);
   if(handle == INVALID_HANDLE) return;
   ArrayResize(data, (int)FileSize(handle));
   FileReadArray(handle, data, 0, ArraySize(data));
   FileClose(handle);
   int count = StringSplit(CharArrayToString(data, 0, WHOLE_ARRAY, CP_UTF8), '\n', lines);
   for(int i = 0; i < count; i++) {
      if(StringLen(lines[i]) == 0) continue;
      StringSplit(lines[i], '\t', g_words);
      Print("=", Answer(Word(0)));
   }
   Print("done");
}

int OnInit() {
   StoreStart();
   Batch();
   return(0);
}

void OnTick() {
   Batch();
}

void OnDeinit(const int reason) {
   StoreStop();
}
//+------------------------------------------------------------------+
