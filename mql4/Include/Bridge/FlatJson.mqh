//+------------------------------------------------------------------+
//| FlatJson.mqh: reads back one flat object that CJson wrote         |
//|                                                                   |
//| For words stored in the journal. Nothing from the wire is read    |
//| with it: request bodies have CBody.                               |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Text.mqh>

#define FLAT_FIELDS_MAX 64

class CFlatJson {
private:
   string m_names[];
   string m_values[];
   string m_json;
   int    m_at;

   ushort Here(void) const;
   bool   Quoted(string &value);
   bool   Escape(string &value);
   bool   Bare(string &value);
   bool   Field(void);

public:
          CFlatJson(void) { m_json = ""; m_at = 0; }
   bool   Read(string json);
   bool   Has(string name) const;
   string Text(string name) const;
   long   Number(string name) const;
};

//--- Return whether the text is one flat object; nothing is held unless it is.
bool CFlatJson::Read(string json) {
   ArrayResize(m_names, 0);
   ArrayResize(m_values, 0);
   m_json = json;
   m_at = 1;
   bool good = StringLen(json) >= 2 && StringGetCharacter(json, 0) == '{';
   bool first = true;
   while(good && Here() != '}') {
      if(!first) {
         good = Here() == ',';
         m_at++;
      }
      first = false;
      good = good && Field();
   }
   if(good && m_at == StringLen(json) - 1) return(true);
   ArrayResize(m_names, 0);
   ArrayResize(m_values, 0);
   return(false);
}

//--- The next character, 0 at the end.
ushort CFlatJson::Here(void) const {
   return(m_at < StringLen(m_json) ? StringGetCharacter(m_json, m_at) : (ushort)0);
}

bool CFlatJson::Field(void) {
   string name = "";
   string value = "";
   if(ArraySize(m_names) >= FLAT_FIELDS_MAX || !Quoted(name) || Here() != ':') return(false);
   m_at++;
   bool read = Here() == '"' ? Quoted(value) : Bare(value);
   if(!read) return(false);
   int count = ArraySize(m_names);
   ArrayResize(m_names, count + 1);
   ArrayResize(m_values, count + 1);
   m_names[count] = name;
   m_values[count] = value;
   return(true);
}

bool CFlatJson::Quoted(string &value) {
   value = "";
   if(Here() != '"') return(false);
   m_at++;
   int start = m_at;
   while(Here() != '"') {
      if(Here() < 0x20) return(false);
      if(Here() != '\\') {
         m_at++;
         continue;
      }
      if(m_at > start) value += StringSubstr(m_json, start, m_at - start);
      if(!Escape(value)) return(false);
      start = m_at;
   }
   if(m_at > start) value += StringSubstr(m_json, start, m_at - start);
   m_at++;
   return(true);
}

//--- One of the three escapes that CJson writes.
bool CFlatJson::Escape(string &value) {
   m_at++;
   ushort c = Here();
   m_at++;
   if(c == '"' || c == '\\') {
      value += ShortToString(c);
      return(true);
   }
   if(c != 'u' || m_at + 4 > StringLen(m_json)) return(false);
   int code = 0;
   for(int i = 0; i < 4; i++) {
      int digit = HexDigit(Here());
      if(digit < 0) return(false);
      code = 16 * code + digit;
      m_at++;
   }
   value += ShortToString((ushort)code);
   return(true);
}

//--- A number, true, false.
bool CFlatJson::Bare(string &value) {
   int start = m_at;
   while(CharIsDigit(Here()) || CharIsLower(Here()) || Here() == '-') m_at++;
   value = m_at > start ? StringSubstr(m_json, start, m_at - start) : "";
   return(m_at > start);
}

bool CFlatJson::Has(string name) const {
   for(int i = 0; i < ArraySize(m_names); i++)
      if(m_names[i] == name) return(true);
   return(false);
}

//--- The value as text, "" if absent.
string CFlatJson::Text(string name) const {
   for(int i = 0; i < ArraySize(m_names); i++)
      if(m_names[i] == name) return(m_values[i]);
   return("");
}

//--- The value as a number, 0 if absent.
long CFlatJson::Number(string name) const {
   string value = Text(name);
   return(StringLen(value) > 0 ? StringToInteger(value) : 0);
}
//+------------------------------------------------------------------+
