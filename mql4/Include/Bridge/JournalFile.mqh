//+------------------------------------------------------------------+
//| JournalFile.mqh: an append-only file of chained lines             |
//|                                                                   |
//|    line = text " " link LF                                        |
//|    link = first 16 hex digits of SHA-256(previous link, text)     |
//|                                                                   |
//| A line without its LF at the end of the file is torn: its writer  |
//| died in it. It is overwritten by the next line, which is padded   |
//| with spaces to cover it (MQL4 cannot shorten a file). Any other   |
//| line that does not hold is damage: FATAL, nothing is written any  |
//| more, the lines that do hold are still read.                      |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Limits.mqh>
#include <Bridge/Hash.mqh>

#define JOURNAL_OK 0
#define JOURNAL_FULL 1
#define JOURNAL_FATAL 2

#define LINE_GOOD 0
#define LINE_DAMAGED 1
#define LINE_NONE 2

#define LINK_CHARS 16
#define LINK_FIRST "0000000000000000"
#define JOURNAL_CHUNK 65536    // bytes: how much is read at once when the file is read through
#define LINE_READ_BYTES 4096

class CJournalFile {
private:
   int    m_handle;
   int    m_health;
   string m_why;
   string m_link;
   long   m_end;        // bytes of the lines that are there
   long   m_dirty;      // up to here the file may hold leavings of a line that failed
   uchar  m_buffer[];   // a window of the file while it is read through
   int    m_used;
   int    m_line;       // where the line at hand begins in it
   int    m_look;
   long   m_base;       // offset of the window in the file

   bool   Refill(void);
   string Link(const uchar &text[], int start, int count, string previous);
   void   Fail(int health, string why);
   bool   Put(const uchar &line[], bool flush);
   bool   ReadBack(const uchar &line[]);
   bool   Add(string text, bool flush, long &offset);

public:
          CJournalFile(void);
   bool   Open(string name);
   void   Close(void);
   bool   IsOpen(void) const { return(m_handle != INVALID_HANDLE); }
   int    Health(void) const { return(m_health); }
   string Why(void) const { return(m_why); }
   long   Size(void) const { return(m_end); }
   string LastLink(void) const { return(m_link); }
   int    Next(string &text, long &offset);
   bool   Append(string text, long &offset);
   bool   AppendLater(string text);
   bool   Settle(void);
   bool   LineAt(long offset, string &text);
};

CJournalFile::CJournalFile(void) {
   m_handle = INVALID_HANDLE;
   m_health = JOURNAL_OK;
   m_why = "";
   m_link = LINK_FIRST;
   m_end = 0;
   m_dirty = 0;
   m_used = 0;
   m_line = 0;
   m_look = 0;
   m_base = 0;
}

//--- Open or make the file, without FILE_SHARE_*: a second opener, in this terminal or
//    another, is refused while this handle lives. Then call Next() to its end.
bool CJournalFile::Open(string name) {
   Close();
   m_handle = FileOpen(name, FILE_READ | FILE_WRITE | FILE_BIN);
   if(m_handle == INVALID_HANDLE) return(false);
   m_health = JOURNAL_OK;
   m_why = "";
   m_link = LINK_FIRST;
   m_end = 0;
   m_dirty = (long)FileSize(m_handle);
   m_used = 0;
   m_line = 0;
   m_look = 0;
   m_base = 0;
   ArrayResize(m_buffer, 0);
   return(true);
}

void CJournalFile::Close(void) {
   if(m_handle != INVALID_HANDLE) FileClose(m_handle);
   m_handle = INVALID_HANDLE;
   ArrayResize(m_buffer, 0);
   m_used = 0;
}

//--- The worse of two states stays.
void CJournalFile::Fail(int health, string why) {
   if(health <= m_health) return;
   m_health = health;
   m_why = why;
}

//--- Read the next line from the beginning on: LINE_GOOD gives its text without link and
//    padding, LINE_DAMAGED one that does not hold, LINE_NONE the end.
int CJournalFile::Next(string &text, long &offset) {
   text = "";
   offset = m_base + m_line;
   while(m_look >= m_used || m_buffer[m_look] != '\n') {
      if(m_look < m_used) {
         m_look++;
         continue;
      }
      if(m_look - m_line > JOURNAL_LINE_BYTES_MAX) {
         Fail(JOURNAL_FATAL, "a line at byte " + IntegerToString(offset) + " has no end");
         return(LINE_NONE);
      }
      if(!Refill()) return(LINE_NONE);    // what is left without LF is torn
   }
   int start = m_line;
   int count = m_look - m_line - LINK_CHARS - 1;
   m_look++;
   m_line = m_look;
   m_end = m_base + m_line;
   string link = count > 0 ? BytesText(m_buffer, start + count + 1, LINK_CHARS) : "";
   bool good = StringLen(link) == LINK_CHARS && m_buffer[start + count] == ' '
               && link == Link(m_buffer, start, count, m_link);
   if(StringLen(link) == LINK_CHARS) m_link = link;    // go on behind a damaged line
   if(good) {
      while(count > 0 && m_buffer[start + count - 1] == ' ') count--;
      text = BytesText(m_buffer, start, count);
      if(StringLen(text) > 0) return(LINE_GOOD);
   }
   Fail(JOURNAL_FATAL, "the line at byte " + IntegerToString(offset) + " was changed");
   return(LINE_DAMAGED);
}

//--- Move the window on; false at the end of the file.
bool CJournalFile::Refill(void) {
   int left = m_used - m_line;
   for(int i = 0; m_line > 0 && i < left; i++) m_buffer[i] = m_buffer[m_line + i];
   m_base += m_line;
   m_look -= m_line;
   m_line = 0;
   m_used = left;
   ArrayResize(m_buffer, left + JOURNAL_CHUNK);
   if(!FileSeek(m_handle, m_base + left, SEEK_SET)) {
      Fail(JOURNAL_FATAL, "the file cannot be read");
      return(false);
   }
   int count = (int)FileReadArray(m_handle, m_buffer, left, JOURNAL_CHUNK);
   if(count > 0) m_used = left + count;
   return(count > 0);
}

//--- The link of a text behind `previous`.
string CJournalFile::Link(const uchar &text[], int start, int count, string previous) {
   uchar covered[], digest[], part[];
   if(!BytesFromText(previous, covered)) return("");
   BytesAppend(covered, text, start, count);
   if(!Sha256(covered, digest)) return("");
   BytesAppend(part, digest, 0, LINK_CHARS / 2);
   return(BytesHex(part));
}

//--- Write one line and hand it to the disk. False: it is not there, and nothing that
//    depends on it may be done. FULL is tried again by the next call; FATAL is for ever.
bool CJournalFile::Append(string text, long &offset) {
   return(Add(text, true, offset));
}

//--- Write one of many lines; only Settle() tells whether they are there.
bool CJournalFile::AppendLater(string text) {
   long offset = 0;
   return(Add(text, false, offset));
}

//--- Hand all that was written to the disk; false if it is not all there.
bool CJournalFile::Settle(void) {
   ResetLastError();
   FileFlush(m_handle);
   int error = GetLastError();
   return(error == 0 && (long)FileSize(m_handle) == m_end);
}

bool CJournalFile::Add(string text, bool flush, long &offset) {
   uchar line[];
   offset = -1;
   if(m_handle == INVALID_HANDLE || m_health == JOURNAL_FATAL) return(false);
   int count = StringLen(text);
   if(count < 1 || count > JOURNAL_TEXT_CHARS_MAX || !BytesFromText(text, line)) return(false);
   if(!BytesPrintable(line, 0, count)) return(false);
   long padded = m_dirty - m_end - LINK_CHARS - 2;
   if(padded > JOURNAL_TEXT_CHARS_MAX) {
      Fail(JOURNAL_FATAL, "more was torn off than one line can be");
      return(false);
   }
   if(padded > count) {
      ArrayResize(line, (int)padded);
      for(int i = count; i < (int)padded; i++) line[i] = ' ';
   }
   string link = Link(line, 0, ArraySize(line), m_link);
   if(StringLen(link) != LINK_CHARS) return(false);
   BytesAppendText(line, " " + link + "\n");
   if(!Put(line, flush)) return(false);
   offset = m_end;
   m_end += ArraySize(line);
   m_link = link;
   if(m_dirty < m_end) m_dirty = m_end;
   return(true);
}

//--- FileFlush gives no result (MQL4 reference, files/fileflush): the error code and the
//    size of the file tell. After a failure a line counts only once it was read back.
bool CJournalFile::Put(const uchar &line[], bool flush) {
   int count = ArraySize(line);
   ResetLastError();
   int written = 0;
   if(FileSeek(m_handle, m_end, SEEK_SET)) written = (int)FileWriteArray(m_handle, line, 0, count);
   if(flush) FileFlush(m_handle);
   int error = GetLastError();
   bool there = !flush || (long)FileSize(m_handle) >= m_end + count;
   if(written == count && error == 0 && there) {
      if(m_health == JOURNAL_OK) return(true);
      if(ReadBack(line)) {
         m_health = JOURNAL_OK;
         m_why = "";
         return(true);
      }
   }
   if(m_dirty < m_end + count) m_dirty = m_end + count;
   Fail(JOURNAL_FULL, "the file cannot be written (error " + IntegerToString(error)
        + "): is the disk full?");
   return(false);
}

bool CJournalFile::ReadBack(const uchar &line[]) {
   uchar read[];
   int count = ArraySize(line);
   if(!FileSeek(m_handle, m_end, SEEK_SET)) return(false);
   ArrayResize(read, count);
   int got = (int)FileReadArray(m_handle, read, 0, count);
   return(got == count && BytesSame(read, line));
}

//--- The text of the line that begins at `offset`.
bool CJournalFile::LineAt(long offset, string &text) {
   uchar read[];
   text = "";
   if(m_handle == INVALID_HANDLE || offset < 0 || offset >= m_end) return(false);
   int got = 0;
   int end = 0;
   bool more = true;
   while(more && got <= JOURNAL_LINE_BYTES_MAX) {    // most lines are found by the first read
      if(!FileSeek(m_handle, offset + got, SEEK_SET)) return(false);
      ArrayResize(read, got + LINE_READ_BYTES);
      int part = (int)FileReadArray(m_handle, read, got, LINE_READ_BYTES);
      if(part < 1) return(false);
      got += part;
      while(end < got && read[end] != '\n') end++;
      more = end == got;
   }
   int count = end - LINK_CHARS - 1;
   if(more || count < 1) return(false);
   while(count > 0 && read[count - 1] == ' ') count--;
   text = BytesText(read, 0, count);
   return(StringLen(text) > 0);
}
//+------------------------------------------------------------------+
