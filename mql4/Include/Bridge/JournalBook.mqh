//+------------------------------------------------------------------+
//| JournalBook.mqh: the journal's file, read into its index          |
//|                                                                   |
//| What CJournal writes is read back here at each start; old rows    |
//| are left behind here; results that the disk did not take wait     |
//| here.                                                             |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Codes.mqh>
#include <Bridge/JournalFile.mqh>
#include <Bridge/JournalIndex.mqh>
#include <Bridge/Text.mqh>

#define LATE_LINES_MAX 256
#define LATE_OFFSET -2    // the line is not in the file yet

//--- The word at `at`, which moves behind the space after it.
string JournalWord(string text, int &at) {
   int end = StringFind(text, " ", at);
   string word = "";
   if(end < 0) word = StringSubstr(text, at);
   else if(end > at) word = StringSubstr(text, at, end - at);    // a length of 0 means "to the end"
   at = end < 0 ? StringLen(text) : end + 1;
   return(word);
}

//--- Move `at` behind so many words.
void JournalSkip(string text, int &at, int words) {
   for(int i = 0; i < words; i++) JournalWord(text, at);
}

long JournalNumber(string text, int &at) {
   long value = 0;
   string word = JournalWord(text, at);
   return(TextIsInteger(word, LONG_MAX, value) ? value : 0);
}

//--- Put a row into a short list once, or take it out.
void JournalMark(int &rows[], int row, bool in) {
   int count = ArraySize(rows);
   int at = 0;
   while(at < count && rows[at] != row) at++;
   if(in && at == count) {
      ArrayResize(rows, count + 1);
      rows[count] = row;
   }
   if(!in && at < count) {
      for(int i = at; i < count - 1; i++) rows[i] = rows[i + 1];
      ArrayResize(rows, count - 1);
   }
}

class CJournalBook {
protected:
   CJournalFile  m_file;
   CJournalIndex m_index;
   string        m_name;
   string        m_account;
   bool          m_created_now;
   long          m_created_ms;
   long          m_forgotten_ms;
   long          m_newest_ms;
   bool          m_lost;           // more than memory keeps could not be written
   int           m_open[];         // rows begun and not ended
   int           m_protect[];      // rows with a protective step to finish
   string        m_late[];         // results that are not in the file yet

   bool   Load(string &why);
   bool   Begin(string instance, long now_ms, string &why);
   string Header(long forgotten_ms, string link);
   bool   ReadHeader(string text, string &why);
   void   Learn(string text, long offset);
   bool   Unfinished(int row) const;
   bool   WorthRotating(void) const;
   bool   Rotate(string &why);
   bool   CopyTo(CJournalFile &next, long before_ms);
   bool   Keep(string text);
   bool   WriteLate(void);

public:
          CJournalBook(void);
   bool   Open(string name, string account, string instance, long now_ms, string &why);
   void   Close(void);
   int    Health(void) const;
   string HealthText(void) const;
   string Why(void) const;
   bool   MayAct(void) const;
   bool   CreatedNow(void) const { return(m_created_now); }
   long   CreatedMs(void) const { return(m_created_ms); }
   long   ForgottenMs(void) const { return(m_forgotten_ms); }
   int    Rows(void) const { return(m_index.Rows()); }
   string RidAt(int row) const { return(m_index.Rid(row)); }
   long   TicketAt(int row) const { return(m_index.ticket[row]); }
   bool   RefusedAt(int row) const { return(m_index.refused[row] == 1); }
};

CJournalBook::CJournalBook(void) {
   m_name = "";
   m_account = "";
   m_created_now = false;
   m_created_ms = 0;
   m_forgotten_ms = 0;
   m_newest_ms = 0;
   m_lost = false;
}

//--- Open or make the journal of an account. False: another instance has it, it belongs to
//    another account, or nothing can be written at all. A damaged one is opened (true) and
//    FATAL: what is known can be told, nothing is begun.
bool CJournalBook::Open(string name, string account, string instance, long now_ms, string &why) {
   Close();
   m_name = name;
   m_account = account;
   string next = name + ".new";
   why = "the journal " + name + " cannot be opened: does another chart run the Advisor?";
   if(!FileIsExist(name) && FileIsExist(next) && !FileMove(next, 0, name, 0)) return(false);
   if(!m_file.Open(name)) return(false);
   if(FileIsExist(next)) FileDelete(next);    // a rotation that did not end
   bool good = Load(why);
   if(good && WorthRotating()) good = Rotate(why);
   if(good) good = Begin(instance, now_ms, why);
   if(!good) Close();
   return(good);
}

void CJournalBook::Close(void) {
   if(m_file.IsOpen()) WriteLate();
   m_file.Close();
   m_index.Clear();
   ArrayResize(m_open, 0);
   ArrayResize(m_protect, 0);
   ArrayResize(m_late, 0);
   m_created_now = false;
   m_created_ms = 0;
   m_forgotten_ms = 0;
   m_newest_ms = 0;
   m_lost = false;
}

//--- Read the file through; false if it is not this account's.
bool CJournalBook::Load(string &why) {
   string text = "";
   long offset = 0;
   m_index.Clear();
   ArrayResize(m_open, 0);
   ArrayResize(m_protect, 0);
   int kind = m_file.Next(text, offset);
   while(kind != LINE_NONE) {
      if(kind == LINE_GOOD && offset == 0 && !ReadHeader(text, why)) return(false);
      if(kind == LINE_GOOD) Learn(text, offset);
      kind = m_file.Next(text, offset);
   }
   why = m_file.Why();
   return(true);
}

//--- Say that this start uses the file, or that the file begins with this start.
bool CJournalBook::Begin(string instance, long now_ms, string &why) {
   long offset = 0;
   if(m_file.Health() == JOURNAL_FATAL) {
      why = "the journal " + m_name + " is damaged (" + m_file.Why() + "): no orders are taken;"
            + " close the terminal, move the file away, keep it, start again";
      return(true);
   }
   if(m_file.Size() == 0) {
      m_created_now = true;
      m_created_ms = now_ms;
      why = "the journal " + m_name + " cannot be written: is the disk full?";
      if(!m_file.Append(Header(0, "-"), offset)) return(false);
   }
   m_file.Append("START " + IntegerToString(now_ms) + " " + instance, offset);
   why = m_file.Why();
   return(true);
}

string CJournalBook::Header(long forgotten_ms, string link) {
   return("JOURNAL 1 " + m_account + " " + IntegerToString(m_created_ms) + " "
          + IntegerToString(forgotten_ms) + " " + link);
}

bool CJournalBook::ReadHeader(string text, string &why) {
   int at = 0;
   why = "the file " + m_name + " is no journal of this version: move it away, keep it";
   if(JournalWord(text, at) != "JOURNAL" || JournalWord(text, at) != "1") return(false);
   why = "the journal " + m_name + " belongs to another account: move it away, keep it";
   if(JournalWord(text, at) != m_account) return(false);
   m_created_ms = JournalNumber(text, at);
   m_forgotten_ms = JournalNumber(text, at);
   return(true);
}

//--- Take one line into the index.
void CJournalBook::Learn(string text, long offset) {
   int at = 0;
   string kind = JournalWord(text, at);
   if(kind == "JOURNAL" || kind == "START") return;
   string rid = JournalWord(text, at);
   if(!TextIsRid(rid)) return;
   int row = m_index.Add(rid);
   if(row == NOWHERE) {
      m_lost = true;
      return;
   }
   m_index.last_ms[row] = JournalNumber(text, at);
   if(m_index.last_ms[row] > m_newest_ms) m_newest_ms = m_index.last_ms[row];
   if(kind == "INTENT") {
      m_index.intent_at[row] = offset;
      JournalSkip(text, at, 3);    // kid, op, order-hash
      m_index.ticket[row] = JournalNumber(text, at);
   }
   if(kind == "FLATTEN" && m_index.flatten_at[row] == NOWHERE) m_index.flatten_at[row] = offset;
   if(kind == "RESULT" || kind == "TOMB") {
      m_index.result_at[row] = offset;
      m_index.tomb[row] = (uchar)(kind == "TOMB" ? 1 : 0);
      JournalSkip(text, at, 3);
      string status = JournalWord(text, at);
      m_index.refused[row] = (uchar)(status == STATUS_DENIED || status == STATUS_REJECTED ? 1 : 0);
   }
   if(kind == "PROTECT") {
      bool open = JournalWord(text, at) == "open";
      m_index.protect_at[row] = offset;
      m_index.protecting[row] = (uchar)(open ? 1 : 0);
      JournalMark(m_protect, row, open);
   }
   if(kind == "INTENT" || kind == "RESULT" || kind == "TOMB")
      JournalMark(m_open, row, m_index.intent_at[row] != NOWHERE
                  && m_index.result_at[row] == NOWHERE);
}

int CJournalBook::Health(void) const {
   return(m_lost ? JOURNAL_FATAL : m_file.Health());
}

string CJournalBook::HealthText(void) const {
   int health = Health();
   return(health == JOURNAL_OK ? "OK" : (health == JOURNAL_FULL ? "FULL" : "FATAL"));
}

//--- What is wrong with it, "" if nothing is.
string CJournalBook::Why(void) const {
   return(m_lost ? "more results are waiting for the disk than can be kept" : m_file.Why());
}

//--- False: nothing may be begun before a restart. A FULL journal tries at each intent.
bool CJournalBook::MayAct(void) const {
   return(m_file.IsOpen() && Health() != JOURNAL_FATAL);
}

//--- Hold a result in memory: its id stays decided as long as this instance lives, and after
//    it the boot fence keeps the same bytes from running: no id begins that was signed before
//    this start and is not on file (protocol.md 14).
bool CJournalBook::Keep(string text) {
   int count = ArraySize(m_late);
   if(count >= LATE_LINES_MAX) {
      m_lost = true;
      return(false);
   }
   ArrayResize(m_late, count + 1);
   m_late[count] = text;
   return(true);
}

//--- Write what waits in memory; true if nothing waits any more.
bool CJournalBook::WriteLate(void) {
   int count = ArraySize(m_late);
   int done = 0;
   long offset = 0;
   while(done < count && m_file.Append(m_late[done], offset)) {
      Learn(m_late[done], offset);
      done++;
   }
   for(int i = done; done > 0 && i < count; i++) m_late[i - done] = m_late[i];
   if(done > 0) ArrayResize(m_late, count - done);
   return(done == count);
}

//--- Rows that must not be left behind whatever their age.
bool CJournalBook::Unfinished(int row) const {
   bool begun = m_index.intent_at[row] != NOWHERE && m_index.result_at[row] == NOWHERE;
   return(begun || m_index.protecting[row] == 1);
}

//--- Age is counted from the newest line, not from the clock: a clock that is years ahead
//    must not make the journal forget. Rotation waits until a quarter of the rows is old.
bool CJournalBook::WorthRotating(void) const {
   if(m_file.Health() != JOURNAL_OK || m_file.Size() < JOURNAL_ROTATE_BYTES) return(false);
   int old = 0;
   for(int row = 0; row < m_index.Rows(); row++)
      if(m_index.last_ms[row] < m_newest_ms - JOURNAL_KEEP_MS && !Unfinished(row)) old++;
   return(4 * (long)old > m_index.Rows());
}

//--- Leave old rows behind: a new file is written whole, the old one keeps its lines under
//    `name.<last ms>.old`, the new one takes its name. Whatever dies in between, Open()
//    finds either the old file or the new one.
bool CJournalBook::Rotate(string &why) {
   CJournalFile next;
   string name = m_name + ".new";
   long before_ms = m_newest_ms - JOURNAL_KEEP_MS;
   bool good = next.Open(name) && CopyTo(next, before_ms) && next.Settle();
   next.Close();
   m_file.Close();
   string old = m_name + "." + IntegerToString(m_newest_ms) + ".old";
   if(good && FileMove(m_name, 0, old, 0)) FileMove(name, 0, m_name, 0);
   else FileDelete(name);
   why = "the journal " + m_name + " cannot be opened again after its rotation";
   return(m_file.Open(m_name) && Load(why));
}

bool CJournalBook::CopyTo(CJournalFile &next, long before_ms) {
   string text = "";
   long offset = 0;
   string link = m_file.LastLink();
   if(!m_file.Open(m_name)) return(false);
   if(!next.AppendLater(Header(before_ms, link))) return(false);
   int kind = m_file.Next(text, offset);
   while(kind == LINE_GOOD) {
      int at = 0;
      JournalWord(text, at);
      int row = m_index.Find(JournalWord(text, at));
      bool keep = row != NOWHERE && (Unfinished(row) || m_index.last_ms[row] >= before_ms);
      if(keep && !next.AppendLater(text)) return(false);
      kind = m_file.Next(text, offset);
   }
   return(kind == LINE_NONE && m_file.Health() == JOURNAL_OK);
}
//+------------------------------------------------------------------+
