//+------------------------------------------------------------------+
//| Request.mqh: one signed request, once its MAC has held            |
//|                                                                   |
//| Of a FLATTEN's child, `rid`, `op`, `ticket` and `body` are the    |
//| child's; token, order hash and deadline stay the parent's.        |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Token.mqh>
#include <Bridge/Body.mqh>
#include <Bridge/Deadline.mqh>
#include <Bridge/Journal.mqh>
#include <Bridge/Word.mqh>

// What stands in the journal before a MODIFY of a price: how the order looked.
#define REQUEST_WAS "WAS "

// The token of what the Advisor does by itself: nobody signed it.
#define REQUEST_OWN "-"

class CRequest {
public:
   CToken    token;
   CBody     body;
   CDeadline deadline;
   string    op;
   string    rid;
   string    order_hash;
   string    token_text;
   string    body_text;
   string    before;          // what the ticket looked like before the call
   string    flatten_symbol;  // of a child: the FLATTEN's own symbol, "" = every one
   int       ticket;          // the signed one, or the child's; 0: none
   long      number;          // the server's request number
   long      market_ms;       // the broker's time at the intent
   bool      child;
   bool      body_reads;      // the strict body was accepted
   bool      begun;           // an intent is on file

             CRequest(void) { Clear(); }
   void      Clear(void);
   void      Take(const uchar &token_bytes[], const uchar &body_bytes[]);
   bool      Restore(string token_line, string body_line);
   bool      RestoreRow(CJournalRow &row);
   void      BecomeOwn(string kid, string own_rid, string own_op, int own_ticket);
   void      ToRow(CJournalRow &row);
   void      BecomeChild(string child_rid, string child_op, int child_ticket, string symbol);
   bool      IsEntry(void);
   bool      Reduces(void);
};

void CRequest::Clear(void) {
   token.Clear();
   body.Clear();
   op = "";
   rid = "";
   order_hash = "";
   token_text = "";
   body_text = "";
   before = "";
   flatten_symbol = "";
   ticket = 0;
   number = 0;
   market_ms = 0;
   child = false;
   body_reads = false;
   begun = false;
}

//--- Read the body of a request whose token is parsed and whose MAC held.
void CRequest::Take(const uchar &token_bytes[], const uchar &body_bytes[]) {
   op = token.op;
   rid = token.rid;
   token_text = BytesText(token_bytes, 0, ArraySize(token_bytes));
   body_text = "";
   if(BytesPrintable(body_bytes, 0, ArraySize(body_bytes)))
      body_text = BytesText(body_bytes, 0, ArraySize(body_bytes));
   body_reads = body.Read(op, body_bytes);
   ticket = 0;
   // MetaTrader 4's tickets are 32 bits wide; what is beyond names no order of it.
   if(body_reads && body.ticket > 0 && body.ticket <= INT_MAX) ticket = (int)body.ticket;
   child = false;
   begun = false;
}

//--- Take a request back from texts that were verified before; false if they are none.
bool CRequest::Restore(string token_line, string body_line) {
   uchar token_bytes[], body_bytes[];
   if(!BytesFromText(token_line, token_bytes) || !BytesFromText(body_line, body_bytes))
      return(false);
   if(!token.Parse(token_bytes)) return(false);
   Take(token_bytes, body_bytes);
   return(body_reads);
}

bool CRequest::RestoreRow(CJournalRow &row) {
   if(row.token == REQUEST_OWN) BecomeOwn(row.kid, row.rid, row.op, (int)row.ticket);
   else if(!Restore(row.token, row.body)) return(false);
   if(op != row.op) BecomeChild(row.rid, row.op, (int)row.ticket, "");
   order_hash = row.order_hash;
   market_ms = row.market_ms;
   before = "";
   if(StringFind(row.protect, REQUEST_WAS) == 0)
      before = StringSubstr(row.protect, StringLen(REQUEST_WAS));
   begun = row.begun;
   return(rid == row.rid);
}

void CRequest::ToRow(CJournalRow &row) {
   row.Clear();
   row.rid = rid;
   row.kid = token.kid;
   row.op = op;
   row.order_hash = order_hash;
   row.ticket = ticket;
   row.market_ms = market_ms;
   row.token = token_text;
   row.body = body_text;
}

//--- Close or cancel one ticket of this FLATTEN, whole, at any price.
void CRequest::BecomeChild(string child_rid, string child_op, int child_ticket, string symbol) {
   if(!child) flatten_symbol = body.symbol;
   child = true;
   rid = child_rid;
   op = child_op;
   ticket = child_ticket;
   body.ticket = child_ticket;
   body.symbol = symbol;
   body.volume = 0;
   body.deviation = DEVIATION_POINTS_MAX;
}

//--- What the dead-man's switch does: close or cancel one ticket, whole, at any price. Its record
//    is signed under `kid`, about an order-hash of zeros: it names no order.
void CRequest::BecomeOwn(string kid, string own_rid, string own_op, int own_ticket) {
   Clear();
   token.kid = kid;
   token_text = REQUEST_OWN;
   body_text = "dead-man's switch";
   order_hash = NO_ORDER_HASH;
   body_reads = true;
   BecomeChild(own_rid, own_op, own_ticket, "");
}

//--- Subject to the clock guard: OPEN, and MODIFY other than of stops.
bool CRequest::IsEntry(void) {
   return(op == OP_OPEN || (op == OP_MODIFY && !(body_reads && body.StopsOnly())));
}

//--- Never refused by the trading state or by a cap on volume or positions.
bool CRequest::Reduces(void) {
   return(op == OP_CLOSE || op == OP_CANCEL || op == OP_FLATTEN);
}
//+------------------------------------------------------------------+
