//+------------------------------------------------------------------+
//| JournalRow.mqh: what the journal knows of one request id          |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Codes.mqh>

class CJournalRow {
public:
   string rid;
   string kid;
   string op;
   string order_hash;
   string token;        // as received; "" if it never began
   string body;
   string status;       // of the result; "" while there is none
   string word;         // JSON of the answer, as it was given
   string protect;      // of the last protective step; "" if there is none
   long   ticket;       // as handed over: of a child of a FLATTEN, else 0
   long   intent_ms;    // UTC ms
   long   market_ms;    // market time at the intent
   long   result_ms;    // UTC ms
   bool   begun;        // the intent is on file: the broker call may have been made
   bool   ended;        // the result is: begun and not ended is UNKNOWN
   bool   tomb;         // it never arrived and never runs
   bool   protecting;   // a protective step was begun and is not done

          CJournalRow(void) { Clear(); }
   void   Clear(void);
};

void CJournalRow::Clear(void) {
   rid = "";
   kid = "";
   op = "";
   order_hash = NO_ORDER_HASH;
   token = "";
   body = "";
   status = "";
   word = "";
   protect = "";
   ticket = 0;
   intent_ms = 0;
   market_ms = 0;
   result_ms = 0;
   begun = false;
   ended = false;
   tomb = false;
   protecting = false;
}
//+------------------------------------------------------------------+
