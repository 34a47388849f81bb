//+------------------------------------------------------------------+
//| StateFile.mqh: a small text file that is there whole or not       |
//|                                                                   |
//| Written under `name.tmp`, handed to the disk, then moved over the |
//| old one (MQL4 reference, files/filemove, FILE_REWRITE). A death   |
//| in between leaves the old file.                                   |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Limits.mqh>
#include <Bridge/Hash.mqh>
#include <Bridge/Text.mqh>

#define STATE_TITLE "ztb-ea-state/1"
#define STATE_BYTES_MAX 65536
#define STATE_CHECK_CHARS 16

//--- The first digits of SHA-256 of a text.
string StateCheck(string text) {
   uchar data[], digest[];
   if(!BytesFromText(text, data) || !Sha256(data, digest)) return("");
   return(StringSubstr(BytesHex(digest), 0, STATE_CHECK_CHARS));
}

//--- Write title, lines (each with its LF) and check; false if it is not there afterwards.
bool StateFileWrite(string name, string lines) {
   uchar data[];
   string text = STATE_TITLE + "\n" + lines;
   string check = StateCheck(text);
   if(StringLen(check) == 0 || !BytesFromText(text + "end " + check + "\n", data)) return(false);
   string next = name + ".tmp";
   int handle = FileOpen(next, FILE_WRITE | FILE_BIN);
   if(handle == INVALID_HANDLE) return(false);
   int count = ArraySize(data);
   ResetLastError();
   int written = (int)FileWriteArray(handle, data, 0, count);
   FileFlush(handle);
   bool good = GetLastError() == 0 && written == count && (int)FileSize(handle) == count;
   FileClose(handle);
   return(good && FileMove(next, 0, name, FILE_REWRITE));
}

//--- Read the lines between title and check; false unless every byte is as it was written.
bool StateFileRead(string name, string &lines[]) {
   uchar data[];
   ArrayResize(lines, 0);
   int handle = FileOpen(name, FILE_READ | FILE_BIN);
   if(handle == INVALID_HANDLE) return(false);
   int size = FileSize(handle) <= STATE_BYTES_MAX ? (int)FileSize(handle) : STATE_BYTES_MAX + 1;
   ArrayResize(data, size);
   int got = size > 0 ? (int)FileReadArray(handle, data, 0, size) : 0;
   FileClose(handle);
   if(got != size || size > STATE_BYTES_MAX || size < 1) return(false);
   return(StateFileSplit(data, lines));
}

bool StateFileSplit(const uchar &data[], string &lines[]) {
   string text = "";
   string last = "";
   int start = 0;
   int count = 0;
   int size = ArraySize(data);
   if(data[size - 1] != '\n') return(false);
   for(int i = 0; i < size; i++) {
      if(data[i] != '\n') continue;
      if(!BytesPrintable(data, start, i - start)) return(false);
      last = BytesText(data, start, i - start);
      if(start == 0 && last != STATE_TITLE) return(false);
      bool end = i == size - 1;
      if(!end) text += last + "\n";
      if(!end && start > 0) {
         ArrayResize(lines, count + 1);
         lines[count] = last;
         count++;
      }
      start = i + 1;
   }
   return(last == "end " + StateCheck(text));
}
//+------------------------------------------------------------------+
