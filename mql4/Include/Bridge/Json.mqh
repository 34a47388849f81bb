//+------------------------------------------------------------------+
//| Json.mqh: a writer of compact JSON                                |
//|                                                                   |
//| All output is ASCII: what a broker's comment or symbol holds      |
//| beyond it travels as \uXXXX.                                      |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Decimal.mqh>

#define JSON_DEPTH_MAX 16

//--- Text as a JSON string, quotes included.
string JsonQuote(string s) {
   string out = "\"";
   int count = StringLen(s);
   int start = 0;
   for(int i = 0; i < count; i++) {
      ushort c = StringGetCharacter(s, i);
      if(c >= 0x20 && c < 0x7F && c != '"' && c != '\\') continue;
      if(i > start) out += StringSubstr(s, start, i - start);
      start = i + 1;
      if(c == '"') out += "\\\"";
      else if(c == '\\') out += "\\\\";
      else out += StringFormat("\\u%04x", (int)c);
   }
   if(start == 0) return("\"" + s + "\"");
   if(count > start) out += StringSubstr(s, start, count - start);
   return(out + "\"");
}

//--- One value after the other: names in an object, "" as name in an array.
class CJson {
private:
   string m_text;
   bool   m_first;
   int    m_depth;
   bool   m_array[JSON_DEPTH_MAX];

   void   Name(string name);
   void   Open(string bracket, bool array);

public:
          CJson(void) { Begin(); }
   void   Begin(void);
   void   Text(string name, string value);
   void   Number(string name, long value);
   void   Flag(string name, bool value);
   void   Decimal(string name, double value, int digits);
   void   Raw(string name, string json);
   void   OpenArray(string name);
   void   OpenObject(string name);
   void   Close(void);
   int    Size(void) const;
   string Done(void);
};

//--- Start one object.
void CJson::Begin(void) {
   m_text = "{";
   m_first = true;
   m_depth = 0;
   m_array[0] = false;
}

void CJson::Name(string name) {
   if(!m_first) m_text += ",";
   m_first = false;
   if(!m_array[m_depth]) m_text += JsonQuote(name) + ":";
}

void CJson::Text(string name, string value) {
   Name(name);
   m_text += JsonQuote(value);
}

void CJson::Number(string name, long value) {
   Name(name);
   m_text += IntegerToString(value);
}

void CJson::Flag(string name, bool value) {
   Name(name);
   m_text += (value ? "true" : "false");
}

//--- A decimal as a JSON string by the reply grammar of protocol.md 5.1.
void CJson::Decimal(string name, double value, int digits) {
   Name(name);
   m_text += "\"" + DecimalOf(value, digits) + "\"";
}

//--- A value that is JSON already.
void CJson::Raw(string name, string json) {
   Name(name);
   m_text += json;
}

void CJson::Open(string bracket, bool array) {
   m_text += bracket;
   m_first = true;
   if(m_depth < JSON_DEPTH_MAX - 1) m_depth++;
   m_array[m_depth] = array;
}

void CJson::OpenArray(string name) {
   Name(name);
   Open("[", true);
}

void CJson::OpenObject(string name) {
   Name(name);
   Open("{", false);
}

//--- Close the innermost array or object.
void CJson::Close(void) {
   if(m_depth == 0) return;
   m_text += (m_array[m_depth] ? "]" : "}");
   m_depth--;
   m_first = false;
}

//--- Characters so far: what a page of rows is bounded by.
int CJson::Size(void) const {
   return(StringLen(m_text));
}

//--- Close what is open and give the object.
string CJson::Done(void) {
   while(m_depth > 0) Close();
   return(m_text + "}");
}
//+------------------------------------------------------------------+
