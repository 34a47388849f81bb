//+------------------------------------------------------------------+
//| JournalIndex.mqh: request id -> where its lines stand in the file |
//|                                                                   |
//| A hash table with open addressing. A request id is 128 random     |
//| bits, kept as two longs; about 70 bytes a row with its slots. The |
//| texts stay in the file, but for what is asked of every row.       |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Limits.mqh>
#include <Bridge/Bytes.mqh>

#define INDEX_SLOTS_MIN 4096
#define INDEX_ROWS_MIN 1024
#define NOWHERE -1

class CJournalIndex {
private:
   long   m_high[];
   long   m_low[];
   int    m_slots[];
   int    m_rows;

   int    Slot(long high, long low) const;
   void   Grow(void);
   void   Resize(int rows);
   void   Split(string rid, long &high, long &low) const;

public:
   //--- offsets of a row's lines in the file, NOWHERE if it has none
   long   intent_at[];
   long   result_at[];
   long   flatten_at[];
   long   protect_at[];
   long   last_ms[];    // UTC ms of its last line
   long   ticket[];     // of its intent, 0 if that has none
   uchar  tomb[];
   uchar  protecting[];
   uchar  refused[];    // its result is DENIED or REJECTED

          CJournalIndex(void) { Clear(); }
   void   Clear(void);
   int    Rows(void) const { return(m_rows); }
   int    Find(string rid) const;
   int    Add(string rid);
   string Rid(int row) const;
};

void CJournalIndex::Clear(void) {
   m_rows = 0;
   ArrayResize(m_slots, INDEX_SLOTS_MIN);
   ArrayInitialize(m_slots, NOWHERE);
   Resize(0);
}

//--- Room for this many rows. It grows by doubling: one at a time would cost the square of
//    their number.
void CJournalIndex::Resize(int rows) {
   ArrayResize(m_high, rows);
   ArrayResize(m_low, rows);
   ArrayResize(intent_at, rows);
   ArrayResize(result_at, rows);
   ArrayResize(flatten_at, rows);
   ArrayResize(protect_at, rows);
   ArrayResize(last_ms, rows);
   ArrayResize(ticket, rows);
   ArrayResize(tomb, rows);
   ArrayResize(protecting, rows);
   ArrayResize(refused, rows);
}

//--- The two halves of 32 hex digits.
void CJournalIndex::Split(string rid, long &high, long &low) const {
   high = 0;
   low = 0;
   for(int i = 0; i < RID_HEX; i++) {
      int digit = HexDigit(StringGetCharacter(rid, i));
      if(i < RID_HEX / 2) high = (high << 4) | digit;
      else low = (low << 4) | digit;
   }
}

//--- The slot of this id, or the empty slot where it would stand.
int CJournalIndex::Slot(long high, long low) const {
   int size = ArraySize(m_slots);
   int slot = (int)((high ^ low) & (size - 1));
   while(m_slots[slot] != NOWHERE) {
      int row = m_slots[slot];
      if(m_high[row] == high && m_low[row] == low) return(slot);
      slot = (slot + 1) & (size - 1);
   }
   return(slot);
}

//--- The row of an id (32 hex digits), NOWHERE if it has none.
int CJournalIndex::Find(string rid) const {
   long high = 0;
   long low = 0;
   if(StringLen(rid) != RID_HEX) return(NOWHERE);
   Split(rid, high, low);
   return(m_slots[Slot(high, low)]);
}

//--- The row of an id, made if it is new; NOWHERE when the index holds JOURNAL_ROWS_MAX.
int CJournalIndex::Add(string rid) {
   long high = 0;
   long low = 0;
   if(StringLen(rid) != RID_HEX) return(NOWHERE);
   Split(rid, high, low);
   int slot = Slot(high, low);
   if(m_slots[slot] != NOWHERE) return(m_slots[slot]);
   if(m_rows >= JOURNAL_ROWS_MAX) return(NOWHERE);
   int row = m_rows;
   if(row == ArraySize(m_high)) Resize(row > 0 ? 2 * row : INDEX_ROWS_MIN);
   m_high[row] = high;
   m_low[row] = low;
   intent_at[row] = NOWHERE;
   result_at[row] = NOWHERE;
   flatten_at[row] = NOWHERE;
   protect_at[row] = NOWHERE;
   last_ms[row] = 0;
   ticket[row] = 0;
   tomb[row] = 0;
   protecting[row] = 0;
   refused[row] = 0;
   m_slots[slot] = row;
   m_rows++;
   if(2 * m_rows > ArraySize(m_slots)) Grow();
   return(row);
}

//--- Double the slots: never more than half of them are taken.
void CJournalIndex::Grow(void) {
   int size = 2 * ArraySize(m_slots);
   ArrayResize(m_slots, size);
   ArrayInitialize(m_slots, NOWHERE);
   for(int row = 0; row < m_rows; row++) m_slots[Slot(m_high[row], m_low[row])] = row;
}

//--- The id of a row in hex.
string CJournalIndex::Rid(int row) const {
   uchar raw[];
   if(row < 0 || row >= m_rows) return("");
   BytesAppendBig(raw, m_high[row], 8);
   BytesAppendBig(raw, m_low[row], 8);
   return(BytesHex(raw));
}
//+------------------------------------------------------------------+
