//+------------------------------------------------------------------+
//| Text.mqh: the words of the grammar, matched by hand               |
//|                                                                   |
//| Each function is one rule of protocol.md 3, anchored at both      |
//| ends. MQL4 has no regular expressions.                            |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Limits.mqh>
#include <Bridge/Bytes.mqh>

bool CharIsDigit(ushort c) { return(c >= '0' && c <= '9'); }
bool CharIsUpper(ushort c) { return(c >= 'A' && c <= 'Z'); }
bool CharIsLower(ushort c) { return(c >= 'a' && c <= 'z'); }

//--- Printable ASCII only.
bool TextIsPrintable(string s) {
   for(int i = 0; i < StringLen(s); i++) {
      ushort c = StringGetCharacter(s, i);
      if(c < 0x20 || c > 0x7E) return(false);
   }
   return(true);
}

//--- Exactly `chars` lower-case hex digits.
bool TextIsHex(string s, int chars) {
   if(StringLen(s) != chars) return(false);
   for(int i = 0; i < chars; i++)
      if(HexDigit(StringGetCharacter(s, i)) < 0) return(false);
   return(true);
}

//--- A request id: 32 hex digits, not all zeros.
bool TextIsRid(string s) {
   if(!TextIsHex(s, RID_HEX)) return(false);
   for(int i = 0; i < RID_HEX; i++)
      if(StringGetCharacter(s, i) != '0') return(true);
   return(false);
}

//--- kid = 2*16( a-z / DIGIT / "-" )
bool TextIsKid(string s) {
   int count = StringLen(s);
   if(count < 2 || count > KID_CHARS_MAX) return(false);
   for(int i = 0; i < count; i++) {
      ushort c = StringGetCharacter(s, i);
      if(!CharIsLower(c) && !CharIsDigit(c) && c != '-') return(false);
   }
   return(true);
}

//--- acct = 1*24( ALPHA / DIGIT / "-" / "_" )
bool TextIsAcct(string s) {
   int count = StringLen(s);
   if(count < 1 || count > ACCT_CHARS_MAX) return(false);
   for(int i = 0; i < count; i++) {
      ushort c = StringGetCharacter(s, i);
      if(!CharIsUpper(c) && !CharIsLower(c) && !CharIsDigit(c) && c != '-' && c != '_')
         return(false);
   }
   return(true);
}

//--- op = 1*16( A-Z / "_" )
bool TextIsOp(string s) {
   int count = StringLen(s);
   if(count < 1 || count > OP_CHARS_MAX) return(false);
   for(int i = 0; i < count; i++) {
      ushort c = StringGetCharacter(s, i);
      if(!CharIsUpper(c) && c != '_') return(false);
   }
   return(true);
}

//--- word = A-Z 0*31( A-Z / DIGIT / "_" )
bool TextIsWord(string s) {
   int count = StringLen(s);
   if(count < 1 || count > WORD_CHARS_MAX) return(false);
   if(!CharIsUpper(StringGetCharacter(s, 0))) return(false);
   for(int i = 1; i < count; i++) {
      ushort c = StringGetCharacter(s, i);
      if(!CharIsUpper(c) && !CharIsDigit(c) && c != '_') return(false);
   }
   return(true);
}

//--- time = 13DIGIT, the first not 0; UTC ms.
bool TextIsTime(string s, long &value) {
   value = 0;
   if(StringLen(s) != TIME_CHARS || StringGetCharacter(s, 0) == '0') return(false);
   return(TextIsInteger(s, 9999999999999, value));
}

//--- natural = "0" / ( 1-9 0*17DIGIT ): at most 18 digits.
bool TextIsNatural(string s, long &value) {
   value = 0;
   if(StringLen(s) > NATURAL_CHARS_MAX) return(false);
   return(TextIsInteger(s, LONG_MAX, value));
}

//--- An integer without sign or leading zero, at most `most`; the value only if it is one.
bool TextIsInteger(string s, long most, long &value) {
   value = 0;
   int count = StringLen(s);
   if(count < 1 || count > 19) return(false);
   if(count > 1 && StringGetCharacter(s, 0) == '0') return(false);
   long sum = 0;
   for(int i = 0; i < count; i++) {
      ushort c = StringGetCharacter(s, i);
      if(!CharIsDigit(c)) return(false);
      long digit = (long)c - '0';
      if(sum > (most - digit) / 10) return(false);
      sum = 10 * sum + digit;
   }
   value = sum;
   return(true);
}
//+------------------------------------------------------------------+
