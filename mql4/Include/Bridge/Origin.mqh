//+-------------------------------------------------------------------+
//| Origin.mqh: which request an order of the broker came from        |
//|                                                                   |
//| The journal knows: an OPEN by its magic (protocol.md 5.7), which  |
//| a partial close hands on, a CLOSE or CANCEL by its ticket. What   |
//| it does not know is foreign.                                      |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Body.mqh>
#include <Bridge/Journal.mqh>
#include <Bridge/Row.mqh>

class COrigin {
public:
   void Mark(CJournal &journal, CRow &row);
   bool ClosedByUs(CJournal &journal, int ticket);
};

//--- fill in the row's rid, client_order_id and signed comment, or leave it foreign
void COrigin::Mark(CJournal &journal, CRow &row) {
   row.rid = "";
   row.client_order_id = "";
   if(row.magic == 0) return;
   CJournalRow found;
   if(!journal.FindMagic(row.magic, found)) return;
   row.rid = found.rid;
   uchar bytes[];
   CBody body;
   if(!BytesFromText(found.body, bytes) || !body.Read(found.op, bytes)) return;
   row.client_order_id = body.client_order_id;
   row.words = body.comment;
}

bool COrigin::ClosedByUs(CJournal &journal, int ticket) {
   CJournalRow found;
   return(journal.FindTicket(ticket, found));
}
//+-------------------------------------------------------------------+
