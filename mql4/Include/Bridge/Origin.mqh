//+-------------------------------------------------------------------+
//| Origin.mqh: which request an order of the broker came from        |
//|                                                                   |
//| The journal knows: an OPEN by its magic (protocol.md 5.7), which  |
//| a partial close hands on, a CLOSE or CANCEL by its ticket. What   |
//| it does not know is foreign. Its rows are read once, the newest   |
//| first, a bounded number at a time.                                |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Body.mqh>
#include <Bridge/Journal.mqh>
#include <Bridge/Row.mqh>
#include <Bridge/Tag.mqh>

#define ORIGIN_ROWS_FIRST 5000  // at the start
#define ORIGIN_ROWS_MORE  100   // at each later look
#define ORIGIN_RESERVE    1024

class COrigin {
private:
   int m_magic[];  // of rows that OPEN, and where they stand
   int m_opens[];
   long m_ticket[];  // of rows that CLOSE or CANCEL
   int m_ends[];
   int m_above;  // rows from here on are not read yet
   int m_below;  // nor those below here

   void Note(CJournal &journal, int at);
   bool ReadBody(CJournalRow &row, CBody &body);

public:
   COrigin(void) { Begin(); }
   void Begin(void);
   void Learn(CJournal &journal, bool first);
   bool Complete(void) { return(m_below == 0); }
   void Mark(CJournal &journal, CRow &row);
   bool ClosedByUs(CJournal &journal, int ticket);
};

void COrigin::Begin(void) {
   ArrayResize(m_magic, 0);
   ArrayResize(m_opens, 0);
   ArrayResize(m_ticket, 0);
   ArrayResize(m_ends, 0);
   m_above = 0;
   m_below = 0;
}

//--- Read the rows that are new, and some of those that were there at the start.
void COrigin::Learn(CJournal &journal, bool first) {
   int rows = journal.Rows();
   if(first) {
      Begin();
      m_above = rows;
      m_below = rows;
   }
   while(m_above < rows) {
      Note(journal, m_above);
      m_above++;
   }
   int most = first ? ORIGIN_ROWS_FIRST : ORIGIN_ROWS_MORE;
   for(int i = 0; i < most && m_below > 0; i++) {
      m_below--;
      Note(journal, m_below);
   }
}

bool COrigin::ReadBody(CJournalRow &row, CBody &body) {
   uchar bytes[];
   return(BytesFromText(row.body, bytes) && body.Read(row.op, bytes));
}

void COrigin::Note(CJournal &journal, int at) {
   CJournalRow row;
   CBody body;
   string tag = "";
   int magic = 0;
   if(!journal.Find(journal.RidAt(at), row) || !row.begun) return;
   CToken token;
   uchar bytes[];
   if(row.op == OP_OPEN) {
      bool read = BytesFromText(row.token, bytes) && token.Parse(bytes);
      if(!read || !TagMake(token.acct, row.rid, magic, tag)) return;
      int count = ArraySize(m_magic);
      ArrayResize(m_magic, count + 1, ORIGIN_RESERVE);
      ArrayResize(m_opens, count + 1, ORIGIN_RESERVE);
      m_magic[count] = magic;
      m_opens[count] = at;
      return;
   }
   long ticket = row.ticket;  // of a child of a FLATTEN; else the body says it
   if(ticket == 0 && (row.op == OP_CLOSE || row.op == OP_CANCEL) && ReadBody(row, body))
      ticket = body.ticket;
   if(ticket == 0) return;
   int ends = ArraySize(m_ticket);
   ArrayResize(m_ticket, ends + 1, ORIGIN_RESERVE);
   ArrayResize(m_ends, ends + 1, ORIGIN_RESERVE);
   m_ticket[ends] = ticket;
   m_ends[ends] = at;
}

//--- Fill in the row's rid, client_order_id and signed comment, or leave it foreign.
void COrigin::Mark(CJournal &journal, CRow &row) {
   row.rid = "";
   row.client_order_id = "";
   for(int i = ArraySize(m_magic) - 1; i >= 0 && row.magic != 0; i--) {
      CJournalRow found;
      CBody body;
      if(m_magic[i] != row.magic || !journal.Find(journal.RidAt(m_opens[i]), found)) continue;
      row.rid = found.rid;
      if(!ReadBody(found, body)) return;
      row.client_order_id = body.client_order_id;
      row.words = body.comment;
      return;
   }
}

//--- Whether an order of ours closed or removed this ticket, or may have.
bool COrigin::ClosedByUs(CJournal &journal, int ticket) {
   for(int i = ArraySize(m_ticket) - 1; i >= 0; i--)
      if(m_ticket[i] == ticket && !journal.RefusedAt(m_ends[i])) return(true);
   return(false);
}
//+-------------------------------------------------------------------+
