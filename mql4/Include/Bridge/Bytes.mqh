//+------------------------------------------------------------------+
//| Bytes.mqh: bytes as they travel, and the texts made from them     |
//|                                                                   |
//| Everything on the wire is ASCII. A string is made only from bytes |
//| that were checked first: MQL4 strings are UTF-16, and a byte 0 or |
//| above 0x7F would become something else on the way.                |
//+------------------------------------------------------------------+
#property strict

//--- Fill `out` with the bytes of an ASCII text; false, and empty, if it is not ASCII.
bool BytesFromText(string s, uchar &out[]) {
   ArrayResize(out, 0);
   int count = StringLen(s);
   if(count == 0) return(true);
   ArrayResize(out, count);
   for(int i = 0; i < count; i++) {
      ushort c = StringGetCharacter(s, i);
      if(c == 0 || c > 0x7F) {
         ArrayResize(out, 0);
         return(false);
      }
      out[i] = (uchar)c;
   }
   return(true);
}

//--- Return whether the bytes are all printable ASCII, 0x20 to 0x7E.
bool BytesPrintable(const uchar &data[], int start, int count) {
   if(start < 0 || count < 0 || start + count > ArraySize(data)) return(false);
   for(int i = start; i < start + count; i++)
      if(data[i] < 0x20 || data[i] > 0x7E) return(false);
   return(true);
}

//--- Return the text of printable ASCII bytes; "" for anything else.
//    CharArrayToString stops at a byte 0 and reads others by a code page
//    (MQL4 reference, convert/chararraytostring): hence the check.
string BytesText(const uchar &data[], int start, int count) {
   if(count <= 0 || !BytesPrintable(data, start, count)) return("");
   return(CharArrayToString(data, start, count, CP_UTF8));
}

//--- Compare without an early exit: the time tells nothing of where they differ.
bool BytesSame(const uchar &a[], const uchar &b[]) {
   int count = ArraySize(a);
   if(count != ArraySize(b)) return(false);
   int difference = 0;
   for(int i = 0; i < count; i++) difference |= (int)a[i] ^ (int)b[i];
   return(difference == 0);
}

//--- Return whether the bytes are exactly this ASCII text. Not for secrets.
bool BytesAre(const uchar &data[], string text) {
   int count = StringLen(text);
   if(count != ArraySize(data)) return(false);
   for(int i = 0; i < count; i++)
      if((ushort)data[i] != StringGetCharacter(text, i)) return(false);
   return(true);
}

//--- Append `count` bytes of `more` from `start`.
void BytesAppend(uchar &out[], const uchar &more[], int start, int count) {
   if(count <= 0) return;
   int at = ArraySize(out);
   ArrayResize(out, at + count);
   ArrayCopy(out, more, at, start, count);
}

//--- Append an ASCII text; false, and nothing appended, if it is not ASCII.
bool BytesAppendText(uchar &out[], string s) {
   uchar more[];
   if(!BytesFromText(s, more)) return(false);
   BytesAppend(out, more, 0, ArraySize(more));
   return(true);
}

//--- Append a number in `size` bytes, big-endian.
void BytesAppendBig(uchar &out[], long value, int size) {
   int at = ArraySize(out);
   ArrayResize(out, at + size);
   for(int i = size - 1; i >= 0; i--) {
      out[at + i] = (uchar)(value & 0xFF);
      value >>= 8;
   }
}

//--- Overwrite a secret before its array goes out of use.
void BytesWipe(uchar &data[]) {
   for(int i = 0; i < ArraySize(data); i++) data[i] = 0;
}

//--- Return the bytes in lower-case hex.
string BytesHex(const uchar &data[]) {
   int count = ArraySize(data);
   if(count == 0) return("");
   uchar hex[];
   ArrayResize(hex, 2 * count);
   for(int i = 0; i < count; i++) {
      int high = data[i] >> 4;
      int low = data[i] & 0x0F;
      hex[2 * i] = (uchar)(high < 10 ? '0' + high : 'a' + high - 10);
      hex[2 * i + 1] = (uchar)(low < 10 ? '0' + low : 'a' + low - 10);
   }
   return(CharArrayToString(hex, 0, 2 * count, CP_UTF8));
}

//--- Return the value of one lower-case hex digit, -1 for anything else.
int HexDigit(ushort c) {
   if(c >= '0' && c <= '9') return((int)c - '0');
   if(c >= 'a' && c <= 'f') return((int)c - 'a' + 10);
   return(-1);
}

//--- Fill `out` with exactly `count` bytes of lower-case hex; else false, and empty.
bool BytesFromHex(string hex, int count, uchar &out[]) {
   ArrayResize(out, 0);
   if(count < 0 || StringLen(hex) != 2 * count) return(false);
   ArrayResize(out, count);
   for(int i = 0; i < count; i++) {
      int high = HexDigit(StringGetCharacter(hex, 2 * i));
      int low = HexDigit(StringGetCharacter(hex, 2 * i + 1));
      if(high < 0 || low < 0) {
         ArrayResize(out, 0);
         return(false);
      }
      out[i] = (uchar)(16 * high + low);
   }
   return(true);
}
//+------------------------------------------------------------------+
