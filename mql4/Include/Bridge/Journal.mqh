//+------------------------------------------------------------------+
//| Journal.mqh: what the Advisor was asked, began and did            |
//|                                                                   |
//|    JOURNAL 1 account created forgotten link|-                     |
//|    START   ms instance                                            |
//|    INTENT  rid ms kid op order-hash ticket market token body      |
//|    RESULT  rid ms kid op order-hash status word                   |
//|    TOMB    as RESULT: it never arrived and never runs             |
//|    FLATTEN rid ms ticket,ticket,...                               |
//|    PROTECT rid ms open|done data                                  |
//|                                                                   |
//| Fields are parted by one space; the last may hold spaces. INTENT  |
//| is on disk before the broker is called, RESULT before the answer. |
//| A result that cannot be written is kept in memory and written     |
//| before anything else is; nothing begins meanwhile.                |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/JournalBook.mqh>
#include <Bridge/JournalRow.mqh>

class CJournal : public CJournalBook {
private:
   bool   ResultText(int row, string &text);
   void   ReadIntent(string text, CJournalRow &row);
   void   ReadResult(string text, CJournalRow &row);
   bool   AddResult(string kind, CJournalRow &row, long now_ms);

public:
   bool   Known(string rid) const;
   bool   Ended(string rid) const;
   bool   Find(string rid, CJournalRow &row);
   bool   Intent(CJournalRow &row, long now_ms);
   bool   Result(CJournalRow &row, long now_ms);
   bool   Tomb(string rid, string kid, string word, long now_ms);
   bool   Flatten(string rid, const int &tickets[], long now_ms);
   bool   FlattenTickets(string rid, int &tickets[], long &seen_ms);
   bool   Protect(string rid, string data, bool done, long now_ms);
   int    OpenCount(void) const { return(ArraySize(m_open)); }
   string OpenRid(int i) const;
   int    ProtectCount(void) const { return(ArraySize(m_protect)); }
   string ProtectRid(int i) const;
   bool   Retry(void);
};

//--- Return whether this id began here or has a result.
bool CJournal::Known(string rid) const {
   int row = m_index.Find(rid);
   if(row == NOWHERE) return(false);
   return(m_index.intent_at[row] != NOWHERE || m_index.result_at[row] != NOWHERE);
}

bool CJournal::Ended(string rid) const {
   int row = m_index.Find(rid);
   return(row != NOWHERE && m_index.result_at[row] != NOWHERE);
}

//--- Fill `row` with what is known of an id that began or has a result; else false.
bool CJournal::Find(string rid, CJournalRow &row) {
   string text = "";
   row.Clear();
   if(!Known(rid)) return(false);
   int n = m_index.Find(rid);
   row.rid = rid;
   row.begun = m_index.intent_at[n] != NOWHERE;
   row.ended = m_index.result_at[n] != NOWHERE;
   row.tomb = m_index.tomb[n] == 1;
   row.protecting = m_index.protecting[n] == 1;
   if(row.begun && m_file.LineAt(m_index.intent_at[n], text)) ReadIntent(text, row);
   if(row.ended && ResultText(n, text)) ReadResult(text, row);
   if(m_index.protect_at[n] != NOWHERE && m_file.LineAt(m_index.protect_at[n], text)) {
      int at = 0;
      JournalSkip(text, at, 4);
      row.protect = StringSubstr(text, at);
   }
   return(true);
}

void CJournal::ReadIntent(string text, CJournalRow &row) {
   int at = 0;
   JournalWord(text, at);
   JournalWord(text, at);
   row.intent_ms = JournalNumber(text, at);
   row.kid = JournalWord(text, at);
   row.op = JournalWord(text, at);
   row.order_hash = JournalWord(text, at);
   row.ticket = JournalNumber(text, at);
   row.market_ms = JournalNumber(text, at);
   row.token = JournalWord(text, at);
   row.body = StringSubstr(text, at);
}

void CJournal::ReadResult(string text, CJournalRow &row) {
   int at = 0;
   JournalWord(text, at);
   JournalWord(text, at);
   row.result_ms = JournalNumber(text, at);
   row.kid = JournalWord(text, at);
   row.op = JournalWord(text, at);
   row.order_hash = JournalWord(text, at);
   row.status = JournalWord(text, at);
   row.word = StringSubstr(text, at);
}

//--- The line of a row's result, from the file or from memory.
bool CJournal::ResultText(int row, string &text) {
   if(m_index.result_at[row] != LATE_OFFSET) return(m_file.LineAt(m_index.result_at[row], text));
   for(int i = ArraySize(m_late) - 1; i >= 0; i--) {
      int at = 0;
      text = m_late[i];
      JournalWord(text, at);
      if(JournalWord(text, at) == m_index.Rid(row)) return(true);
   }
   text = "";
   return(false);
}

//--- Write the intent of an id that is not known yet. False: do not call the broker.
bool CJournal::Intent(CJournalRow &row, long now_ms) {
   long offset = 0;
   if(!MayAct() || !TextIsRid(row.rid) || Known(row.rid) || !WriteLate()) return(false);
   if(StringLen(row.token) == 0 || m_index.Add(row.rid) == NOWHERE) return(false);
   string text = "INTENT " + row.rid + " " + IntegerToString(now_ms) + " " + row.kid + " " + row.op
                 + " " + row.order_hash + " " + IntegerToString(row.ticket) + " "
                 + IntegerToString(row.market_ms) + " " + row.token + " " + row.body;
   if(!m_file.Append(text, offset)) return(false);
   Learn(text, offset);
   return(true);
}

//--- Write the outcome. False: it is in memory only, until the disk takes it.
bool CJournal::Result(CJournalRow &row, long now_ms) {
   return(AddResult("RESULT", row, now_ms));
}

//--- Write that an id which is not known never runs: DENIED FENCED, no order-hash.
bool CJournal::Tomb(string rid, string kid, string word, long now_ms) {
   CJournalRow row;
   if(!MayAct() || Known(rid) || !WriteLate()) return(false);
   row.rid = rid;
   row.kid = kid;
   row.op = "-";
   row.status = STATUS_DENIED;
   row.word = word;
   return(AddResult("TOMB", row, now_ms));
}

bool CJournal::AddResult(string kind, CJournalRow &row, long now_ms) {
   CJournalRow had;
   long offset = 0;
   if(!TextIsRid(row.rid) || !TextIsWord(row.status) || !TextIsPrintable(row.word)) return(false);
   bool begun = Find(row.rid, had) && had.begun;
   string kid = begun ? had.kid : row.kid;
   string op = begun ? had.op : row.op;
   string order_hash = begun ? had.order_hash : row.order_hash;
   string text = kind + " " + row.rid + " " + IntegerToString(now_ms) + " " + kid + " " + op + " "
                 + order_hash + " " + row.status + " " + row.word;
   if(StringLen(text) > JOURNAL_TEXT_CHARS_MAX) return(false);
   bool written = m_file.IsOpen() && WriteLate() && m_file.Append(text, offset);
   if(!written) {
      if(!Keep(text)) return(false);
      offset = LATE_OFFSET;
   }
   Learn(text, offset);
   return(written);
}

//--- Write what waits in memory for the disk; true if nothing waits. Call it at each turn.
bool CJournal::Retry(void) {
   return(ArraySize(m_late) == 0 || (MayAct() && WriteLate()));
}

//--- Fix the tickets in the scope of a FLATTEN, once.
bool CJournal::Flatten(string rid, const int &tickets[], long now_ms) {
   string list = "-";
   long offset = 0;
   if(!MayAct() || !TextIsRid(rid) || !WriteLate()) return(false);
   int row = m_index.Add(rid);
   if(row == NOWHERE || m_index.flatten_at[row] != NOWHERE) return(false);
   for(int i = 0; i < ArraySize(tickets); i++)
      list = (i == 0 ? "" : list + ",") + IntegerToString(tickets[i]);
   string text = "FLATTEN " + rid + " " + IntegerToString(now_ms) + " " + list;
   if(!m_file.Append(text, offset)) return(false);
   Learn(text, offset);
   return(true);
}

//--- The tickets fixed at first sight and the wall time of it (UTC ms); false if there was none.
bool CJournal::FlattenTickets(string rid, int &tickets[], long &seen_ms) {
   string text = "";
   string parts[];
   seen_ms = 0;
   ArrayResize(tickets, 0);
   int row = m_index.Find(rid);
   if(row == NOWHERE || m_index.flatten_at[row] == NOWHERE) return(false);
   if(!m_file.LineAt(m_index.flatten_at[row], text)) return(false);
   int at = 0;
   JournalWord(text, at);
   JournalWord(text, at);
   seen_ms = JournalNumber(text, at);
   string list = JournalWord(text, at);
   int count = list == "-" ? 0 : StringSplit(list, ',', parts);
   ArrayResize(tickets, count);
   for(int i = 0; i < count; i++) tickets[i] = (int)StringToInteger(parts[i]);
   return(true);
}

//--- Begin (done = false) or end the protective step of an order that ran.
bool CJournal::Protect(string rid, string data, bool done, long now_ms) {
   long offset = 0;
   if(!MayAct() || !Known(rid) || !WriteLate()) return(false);
   string text = "PROTECT " + rid + " " + IntegerToString(now_ms) + " " + (done ? "done" : "open")
                 + " " + data;
   if(!m_file.Append(text, offset)) return(false);
   Learn(text, offset);
   return(true);
}

//--- The i-th id that began and has no result.
string CJournal::OpenRid(int i) const {
   return(i >= 0 && i < ArraySize(m_open) ? m_index.Rid(m_open[i]) : "");
}

//--- The i-th id whose protective step is not done.
string CJournal::ProtectRid(int i) const {
   return(i >= 0 && i < ArraySize(m_protect) ? m_index.Rid(m_protect[i]) : "");
}
//+------------------------------------------------------------------+
