//+------------------------------------------------------------------+
//| Keys.mqh: the key file in MQL4/Files (mql4/README.md)             |
//|                                                                   |
//| Made by `ztb init`. Derived keys only, no root. No secret is ever |
//| printed or put into a message: errors name line and word.         |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/KeyFile.mqh>
#include <Bridge/Mac.mqh>

class CKeys {
private:
   string   m_file;
   string   m_seen;          // SHA-256 of the file last looked at
   bool     m_loaded;
   bool     m_link_changed;
   CKeyFile m_now;
   string   m_retired[];     // kids a later file no longer has,
   uchar    m_retired_reply[];   // and their reply keys, 32 bytes each

   void     Retire(const CKeyFile &next);
   void     DropRetired(string kid);

public:
            CKeys(void);
   bool     Load(string file, string &why);
   bool     Loaded(void) const;
   bool     Changed(void);
   bool     LinkChanged(void) const;
   string   Account(void) const;
   bool     Paper(void) const;
   string   Endpoint(void) const;
   string   ServerPublic(void) const;
   string   CurvePublic(void) const;
   string   CurveSecret(void) const;
   string   EventKid(void) const;
   bool     EventKey(uchar &key[]) const;
   int      Count(void) const;
   string   Kid(int i) const;
   string   Scope(int i) const;
   int      Find(string kid) const;
   bool     Purpose(int i, string op, string &purpose) const;
   bool     OrderKey(int i, uchar &key[]) const;
   bool     ReplyKey(string kid, uchar &key[]) const;
};

CKeys::CKeys(void) {
   m_file = "";
   m_seen = "";
   m_loaded = false;
   m_link_changed = false;
}

//--- The bytes of a file in MQL4/Files; false if it cannot be read.
bool KeysReadFile(string file, uchar &data[]) {
   ArrayResize(data, 0);
   int handle = FileOpen(file, FILE_READ | FILE_BIN | FILE_SHARE_READ | FILE_SHARE_WRITE);
   if(handle == INVALID_HANDLE) return(false);
   int size = KEY_FILE_BYTES_MAX + 1;    // one more than may be: the parser refuses it
   if(FileSize(handle) <= KEY_FILE_BYTES_MAX) size = (int)FileSize(handle);
   if(size > 0) {
      ArrayResize(data, size);
      uint count = FileReadArray(handle, data, 0, size);
      ArrayResize(data, (int)count);
   }
   FileClose(handle);
   return(true);
}

//--- SHA-256 of a file's bytes in hex; a word of its own for one that is missing or empty.
string KeysPrint(bool there, const uchar &data[]) {
   uchar digest[];
   if(!there) return("missing");
   return(Sha256(data, digest) ? BytesHex(digest) : "empty");
}

//--- Read and adopt the file. False: `why` names file, line and remedy, and the former
//    keys stay as they are.
bool CKeys::Load(string file, string &why) {
   uchar data[];
   CKeyFile next;
   m_file = file;
   bool there = KeysReadFile(file, data);
   m_seen = KeysPrint(there, data);
   why = "the file is missing: copy the file that `ztb init` wrote into `ea/` to MQL4\\Files";
   bool good = there && next.Parse(data, why);
   if(good) {
      m_link_changed = m_loaded && (next.endpoint != m_now.endpoint
                                    || next.server_public != m_now.server_public
                                    || next.curve_public != m_now.curve_public
                                    || next.curve_secret != m_now.curve_secret);
      if(m_loaded) Retire(next);
      good = m_now.Parse(data, why);
      m_loaded = good;
      why = "";
   }
   else if(there)
      why = why + ": copy the file anew from `ea/`, or make it again with `ztb init`";
   if(!good) why = "key file " + file + ": " + why;
   BytesWipe(data);
   return(good);
}

//--- Keep the reply keys of sets that the next file no longer has: rows begun under them
//    still need their record. They may sign no order any more.
void CKeys::Retire(const CKeyFile &next) {
   uchar key[];
   for(int n = 0; n < next.Count(); n++) DropRetired(next.Kid(n));
   for(int i = 0; i < m_now.Count(); i++) {
      if(next.Find(m_now.Kid(i)) >= 0 || !m_now.ReplyKey(i, key)) continue;
      int count = ArraySize(m_retired);
      ArrayResize(m_retired, count + 1);
      m_retired[count] = m_now.Kid(i);
      BytesAppend(m_retired_reply, key, 0, KEY_BYTES);
   }
   BytesWipe(key);
}

void CKeys::DropRetired(string kid) {
   int count = ArraySize(m_retired);
   for(int i = 0; i < count; i++) {
      if(m_retired[i] != kid) continue;
      m_retired[i] = m_retired[count - 1];
      for(int k = 0; k < KEY_BYTES; k++)
         m_retired_reply[i * KEY_BYTES + k] = m_retired_reply[(count - 1) * KEY_BYTES + k];
      ArrayResize(m_retired, count - 1);
      ArrayResize(m_retired_reply, (count - 1) * KEY_BYTES);
      return;
   }
}

bool CKeys::Loaded(void) const {
   return(m_loaded);
}

//--- Return whether the file's bytes are others than those Load() last looked at.
bool CKeys::Changed(void) {
   uchar data[];
   bool there = KeysReadFile(m_file, data);
   bool changed = KeysPrint(there, data) != m_seen;
   BytesWipe(data);
   return(changed);
}

//--- Return whether the last Load() that succeeded changed endpoint or a CURVE key.
bool CKeys::LinkChanged(void) const {
   return(m_link_changed);
}

string CKeys::Account(void) const { return(m_now.account); }
bool   CKeys::Paper(void) const { return(m_now.Paper()); }
string CKeys::Endpoint(void) const { return(m_now.endpoint); }
string CKeys::ServerPublic(void) const { return(m_now.server_public); }
string CKeys::CurvePublic(void) const { return(m_now.curve_public); }
string CKeys::CurveSecret(void) const { return(m_now.curve_secret); }
string CKeys::EventKid(void) const { return(m_now.event_kid); }
bool   CKeys::EventKey(uchar &key[]) const { return(m_now.EventKey(key)); }
int    CKeys::Count(void) const { return(m_now.Count()); }
string CKeys::Kid(int i) const { return(m_now.Kid(i)); }
string CKeys::Scope(int i) const { return(m_now.Scope(i)); }
int    CKeys::Find(string kid) const { return(m_now.Find(kid)); }
bool   CKeys::OrderKey(int i, uchar &key[]) const { return(m_now.OrderKey(i, key)); }

//--- The purpose under which this set signs an operation for the Advisor; false if its scope
//    does not grant it (protocol.md 4.3). An operator signs the stop lane with admin keys.
bool CKeys::Purpose(int i, string op, string &purpose) const {
   string scope = Scope(i);
   bool stop = op == OP_HALT || op == OP_REDUCE_ONLY;
   bool reduce = op == OP_CLOSE || op == OP_CANCEL || op == OP_FLATTEN || op == OP_FENCE;
   bool entry = op == OP_OPEN || op == OP_MODIFY || op == OP_HEARTBEAT;
   purpose = scope == SCOPE_OPERATOR ? PURPOSE_ADMIN_EA : PURPOSE_ORDER_EA;
   bool granted = false;
   if(scope == SCOPE_TRADE) granted = stop || reduce || entry;
   if(scope == SCOPE_REDUCE) granted = stop || reduce;
   if(scope == SCOPE_OPERATOR) granted = stop || op == OP_RESUME;
   if(!granted) purpose = "";
   return(granted);
}

//--- The key under which records of this kid are signed, of a retired set too.
bool CKeys::ReplyKey(string kid, uchar &key[]) const {
   int i = m_now.Find(kid);
   if(i >= 0) return(m_now.ReplyKey(i, key));
   ArrayResize(key, 0);
   for(int n = 0; n < ArraySize(m_retired); n++)
      if(m_retired[n] == kid) BytesAppend(key, m_retired_reply, n * KEY_BYTES, KEY_BYTES);
   return(ArraySize(key) == KEY_BYTES);
}
//+------------------------------------------------------------------+
