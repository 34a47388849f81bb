//+------------------------------------------------------------------+
//| KeyFile.mqh: the text of a key file, checked line by line         |
//|                                                                   |
//|    ztb-ea/1                                                       |
//|    account <alias>                                                |
//|    mode live|paper                                                |
//|    endpoint tcp://127.0.0.1:<port>                                |
//|    server_public, curve_public, curve_secret <Z85, 40 characters> |
//|    event <kid> <64 hex>                                           |
//|    set <kid> <scope> <64 hex or -> <64 hex or ->    1 to 32 lines |
//|    end                                                            |
//|                                                                   |
//| ASCII, LF or CRLF, one space between words. Anything else is      |
//| malformed. Messages never hold a word of the file.                |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Codes.mqh>
#include <Bridge/Text.mqh>

#define KEY_FILE_HEAD_LINES 8
#define KEY_FILE_TITLE "ztb-ea/1"
#define Z85_KEY_CHARS 40
#define Z85_MARKS "*.-:+=^!?&<>()[]{}@%$#/"    // besides letters and digits

class CKeyFile {
private:
   bool   m_paper;
   int    m_count;
   uchar  m_event_key[];
   string m_kids[KEY_SETS_MAX];
   string m_scopes[KEY_SETS_MAX];
   uchar  m_order[];    // 32 bytes a set; zeros where it has none
   uchar  m_reply[];

   bool   SplitLines(const uchar &data[], string &lines[]);
   string ReadHead(string &lines[]);
   string ReadSet(string line);
   string ReadEvent(string line);
   bool   Word(string line, string word, string &value);
   bool   Key(string hex, uchar &key[]);
   bool   Curve(string text);
   bool   Loopback(string text);

public:
   string account;
   string endpoint;
   string server_public;
   string curve_public;
   string curve_secret;
   string event_kid;

          CKeyFile(void) { Clear(); }
   void   Clear(void);
   bool   Parse(const uchar &data[], string &why);
   bool   Paper(void) const { return(m_paper); }
   int    Count(void) const { return(m_count); }
   string Kid(int i) const { return(i >= 0 && i < m_count ? m_kids[i] : ""); }
   string Scope(int i) const { return(i >= 0 && i < m_count ? m_scopes[i] : ""); }
   int    Find(string kid) const;
   bool   OrderKey(int i, uchar &key[]) const;
   bool   ReplyKey(int i, uchar &key[]) const;
   bool   EventKey(uchar &key[]) const;
};

void CKeyFile::Clear(void) {
   BytesWipe(m_event_key);
   BytesWipe(m_order);
   BytesWipe(m_reply);
   ArrayResize(m_event_key, 0);
   ArrayResize(m_order, 0);
   ArrayResize(m_reply, 0);
   m_paper = true;
   m_count = 0;
   account = "";
   endpoint = "";
   server_public = "";
   curve_public = "";
   curve_secret = "";
   event_kid = "";
}

//--- Read the whole file; false: `why` says which line is wrong, and nothing is held.
bool CKeyFile::Parse(const uchar &data[], string &why) {
   string lines[];
   Clear();
   why = "it is no ASCII text of lines";
   if(!SplitLines(data, lines)) return(false);
   int count = ArraySize(lines);
   why = ReadHead(lines);
   int at = KEY_FILE_HEAD_LINES;
   while(StringLen(why) == 0 && at < count && lines[at] != "end") {
      why = ReadSet(lines[at]);
      if(StringLen(why) > 0) why = "line " + IntegerToString(at + 1) + ": " + why;
      at++;
   }
   if(StringLen(why) == 0) {
      if(at >= count) why = "line " + IntegerToString(count + 1) + ": the line `end` is missing";
      else if(m_count == 0) why = "line " + IntegerToString(at + 1) + ": no key set before `end`";
      else if(at != count - 1) why = "line " + IntegerToString(at + 2) + ": a line after `end`";
   }
   if(StringLen(why) == 0) return(true);
   Clear();
   return(false);
}

//--- The lines without their ends; false if a byte is neither printable nor a line's end.
bool CKeyFile::SplitLines(const uchar &data[], string &lines[]) {
   int count = ArraySize(data);
   int start = 0;
   ArrayResize(lines, 0);
   if(count < 1 || count > KEY_FILE_BYTES_MAX) return(false);
   for(int i = 0; i <= count; i++) {
      if(i < count && data[i] != '\n') continue;
      if(i == count && start == count) break;
      int end = i > start && i < count && data[i - 1] == '\r' ? i - 1 : i;
      if(!BytesPrintable(data, start, end - start)) return(false);
      int at = ArraySize(lines);
      ArrayResize(lines, at + 1);
      lines[at] = BytesText(data, start, end - start);
      start = i + 1;
   }
   return(true);
}

//--- The first eight lines; "" if they are right.
string CKeyFile::ReadHead(string &lines[]) {
   string mode = "";
   int count = ArraySize(lines);
   if(count < 1 || lines[0] != KEY_FILE_TITLE) return("line 1: `" + KEY_FILE_TITLE + "` expected");
   if(count < KEY_FILE_HEAD_LINES) return("line " + IntegerToString(count + 1) + ": it ends here");
   if(!Word(lines[1], "account", account) || !TextIsAcct(account))
      return("line 2: `account ALIAS` expected");
   if(!Word(lines[2], "mode", mode) || (mode != "live" && mode != "paper"))
      return("line 3: `mode live` or `mode paper` expected");
   m_paper = mode == "paper";
   if(!Word(lines[3], "endpoint", endpoint) || !Loopback(endpoint))
      return("line 4: `endpoint tcp://127.0.0.1:PORT` expected");
   if(!Word(lines[4], "server_public", server_public) || !Curve(server_public))
      return("line 5: `server_public` and a CURVE key of 40 characters expected");
   if(!Word(lines[5], "curve_public", curve_public) || !Curve(curve_public))
      return("line 6: `curve_public` and a CURVE key of 40 characters expected");
   if(!Word(lines[6], "curve_secret", curve_secret) || !Curve(curve_secret))
      return("line 7: `curve_secret` and a CURVE key of 40 characters expected");
   string why = ReadEvent(lines[7]);
   return(StringLen(why) > 0 ? "line 8: " + why : "");
}

string CKeyFile::ReadEvent(string line) {
   string words[];
   if(StringSplit(line, ' ', words) != 3 || words[0] != "event" || !TextIsKid(words[1]))
      return("`event KID KEY` expected");
   if(!Key(words[2], m_event_key))
      return("the key must be 64 lower-case hex digits, not all alike");
   event_kid = words[1];
   return("");
}

//--- One key set. A query set has no order key, and a paper file none at all.
string CKeyFile::ReadSet(string line) {
   string words[];
   uchar order[], reply[];
   if(StringSplit(line, ' ', words) != 5 || words[0] != "set")
      return("`set KID SCOPE KEY KEY` or `end` expected");
   if(m_count >= KEY_SETS_MAX) return("more than 32 key sets");
   if(!TextIsKid(words[1])) return("the key id must have 2 to 16 characters of a-z, 0-9 and -");
   if(words[1] == event_kid || Find(words[1]) >= 0)
      return("this key id stands in the file already");
   string scope = words[2];
   bool trades = scope == SCOPE_TRADE || scope == SCOPE_REDUCE || scope == SCOPE_OPERATOR;
   if(!trades && scope != SCOPE_QUERY) return("the scope must be trade, reduce, query or operator");
   ArrayResize(order, KEY_BYTES);
   ArrayInitialize(order, 0);
   ArrayResize(reply, KEY_BYTES);
   ArrayInitialize(reply, 0);
   bool good = !m_paper && trades ? Key(words[3], order) : words[3] == "-";
   if(!good) return(m_paper ? "`-` expected: a paper file holds no order keys"
                    : "the order key must be 64 lower-case hex digits, not all alike (query: `-`)");
   good = m_paper ? words[4] == "-" : Key(words[4], reply);
   if(!good) return(m_paper ? "`-` expected: a paper file holds no reply keys"
                    : "the reply key must be 64 lower-case hex digits, not all alike");
   BytesAppend(m_order, order, 0, KEY_BYTES);
   BytesAppend(m_reply, reply, 0, KEY_BYTES);
   BytesWipe(order);
   BytesWipe(reply);
   m_kids[m_count] = words[1];
   m_scopes[m_count] = scope;
   m_count++;
   return("");
}

//--- `word value`, one space between them.
bool CKeyFile::Word(string line, string word, string &value) {
   int at = StringLen(word);
   value = "";
   if(StringLen(line) <= at + 1 || StringSubstr(line, 0, at + 1) != word + " ") return(false);
   value = StringSubstr(line, at + 1);
   return(StringFind(value, " ") < 0);
}

//--- 32 bytes in hex that are not all alike.
bool CKeyFile::Key(string hex, uchar &key[]) {
   if(!BytesFromHex(hex, KEY_BYTES, key)) return(false);
   for(int i = 1; i < KEY_BYTES; i++)
      if(key[i] != key[0]) return(true);
   return(false);
}

//--- A CURVE key in Z85 (ZeroMQ RFC 32), not of one letter.
bool CKeyFile::Curve(string text) {
   bool varied = false;
   if(StringLen(text) != Z85_KEY_CHARS) return(false);
   for(int i = 0; i < Z85_KEY_CHARS; i++) {
      ushort c = StringGetCharacter(text, i);
      bool known = CharIsDigit(c) || CharIsLower(c) || CharIsUpper(c);
      if(!known && StringFind(Z85_MARKS, StringSubstr(text, i, 1)) < 0) return(false);
      if(c != StringGetCharacter(text, 0)) varied = true;
   }
   return(varied);
}

//--- tcp://127.0.0.1:PORT and nothing else: the server stands beside the terminal.
bool CKeyFile::Loopback(string text) {
   string start = "tcp://127.0.0.1:";
   long port = 0;
   int at = StringLen(start);
   if(StringLen(text) <= at || StringSubstr(text, 0, at) != start) return(false);
   return(TextIsInteger(StringSubstr(text, at), 65535, port) && port > 0);
}

//--- The place of a kid among the sets, -1 if it is not there.
int CKeyFile::Find(string kid) const {
   for(int i = 0; i < m_count; i++)
      if(m_kids[i] == kid) return(i);
   return(-1);
}

bool CKeyFile::OrderKey(int i, uchar &key[]) const {
   ArrayResize(key, 0);
   if(i < 0 || i >= m_count || m_paper || m_scopes[i] == SCOPE_QUERY) return(false);
   BytesAppend(key, m_order, i * KEY_BYTES, KEY_BYTES);
   return(true);
}

bool CKeyFile::ReplyKey(int i, uchar &key[]) const {
   ArrayResize(key, 0);
   if(i < 0 || i >= m_count || m_paper) return(false);
   BytesAppend(key, m_reply, i * KEY_BYTES, KEY_BYTES);
   return(true);
}

bool CKeyFile::EventKey(uchar &key[]) const {
   ArrayResize(key, 0);
   BytesAppend(key, m_event_key, 0, ArraySize(m_event_key));
   return(ArraySize(key) == KEY_BYTES);
}
//+------------------------------------------------------------------+
