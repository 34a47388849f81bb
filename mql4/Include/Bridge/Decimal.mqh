//+------------------------------------------------------------------+
//| Decimal.mqh: exact decimals (protocol.md 5.1)                     |
//|                                                                   |
//| A decimal is a long in units of 1e-8: nine integer digits and     |
//| eight decimals stay below 2^63. Doubles only touch the terminal.  |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Text.mqh>

#define DECIMAL_ONE 100000000
#define DECIMAL_UNITS_MAX 99999999999999999    // 999999999.99999999
#define DOUBLE_EXACT_MAX 9007199254740992.0    // 2^53: integers of a double are exact up to here

//--- 10^places, for 0 to 8.
long DecimalPower(int places) {
   long power = 1;
   for(int i = 0; i < places; i++) power *= 10;
   return(power);
}

//--- Read `(0|[1-9][0-9]{0,8})(\.[0-9]{1,8})?`; false, and 0, for anything else.
bool DecimalParse(string text, long &units) {
   units = 0;
   string whole = text;
   string part = "";
   int point = StringFind(text, ".");
   if(point == 0) return(false);
   if(point > 0) {
      whole = StringSubstr(text, 0, point);
      part = StringSubstr(text, point + 1);
      int places = StringLen(part);
      if(places < 1 || places > DECIMAL_PLACES_MAX) return(false);
   }
   if(StringLen(whole) > DECIMAL_INTEGER_CHARS_MAX) return(false);
   long integer = 0;
   if(!TextIsInteger(whole, 999999999, integer)) return(false);
   long fraction = 0;
   for(int i = 0; i < DECIMAL_PLACES_MAX; i++) {
      ushort c = i < StringLen(part) ? StringGetCharacter(part, i) : '0';
      if(!CharIsDigit(c)) return(false);
      fraction = 10 * fraction + (long)c - '0';
   }
   units = integer * DECIMAL_ONE + fraction;
   return(true);
}

//--- Text with exactly `digits` decimals (0 to 8); what does not fit them is cut off.
string DecimalText(long units, int digits) {
   int places = digits < 0 ? 0 : (digits > DECIMAL_PLACES_MAX ? DECIMAL_PLACES_MAX : digits);
   long rest = units < 0 ? -units : units;
   rest /= DecimalPower(DECIMAL_PLACES_MAX - places);
   long scale = DecimalPower(places);
   string text = IntegerToString(rest / scale);
   if(places > 0) text = text + "." + IntegerToString(rest % scale, places, '0');
   return(units < 0 && rest > 0 ? "-" + text : text);
}

//--- Text with as few decimals as it needs.
string DecimalShort(long units) {
   int places = DECIMAL_PLACES_MAX;
   while(places > 0 && DecimalHasDigits(units, places - 1)) places--;
   return(DecimalText(units, places));
}

//--- Return whether it needs no more than `digits` decimals: on the grid of the symbol's digits.
bool DecimalHasDigits(long units, int digits) {
   if(digits >= DECIMAL_PLACES_MAX) return(true);
   if(digits < 0) return(false);
   return(units % DecimalPower(DECIMAL_PLACES_MAX - digits) == 0);
}

//--- Return whether it is a multiple of `step`; no grid (step <= 0) means no.
bool DecimalOnGrid(long units, long step) {
   if(step <= 0) return(false);
   return(units % step == 0);
}

//--- The two multiples of `step` around it, both itself if it is one.
void DecimalNearest(long units, long step, long &below, long &above) {
   below = units;
   above = units;
   if(step <= 0 || units % step == 0) return;
   below = units - units % step;
   if(units < 0) below -= step;
   above = below + step;
}

//--- The double that goes into a trade function: price and volume must be normalised
//    (MQL4 reference, trading/ordersend). Rounding happens once, at `digits`.
double DecimalToDouble(long units, int digits) {
   return(NormalizeDouble((double)units / DECIMAL_ONE, digits));
}

//--- Round a double at `digits` decimals; false, and 0, if not finite or out of range.
bool DecimalFromDouble(double value, int digits, long &units) {
   units = 0;
   if(!MathIsValidNumber(value) || digits < 0 || digits > DECIMAL_PLACES_MAX) return(false);
   double scaled = MathRound(value * (double)DecimalPower(digits));
   if(MathAbs(scaled) >= DOUBLE_EXACT_MAX) return(false);
   long step = DecimalPower(DECIMAL_PLACES_MAX - digits);
   long steps = (long)scaled;
   if(steps > DECIMAL_UNITS_MAX / step || steps < -(DECIMAL_UNITS_MAX / step)) return(false);
   units = steps * step;
   return(true);
}

//--- Reply text (protocol.md 5.1): no exponent, no "-0", at most 15 integer digits.
//    What is no number is "0": such money is shown, never traded on.
string DecimalOf(double value, int digits) {
   if(!MathIsValidNumber(value) || MathAbs(value) >= 1e15) return("0");
   int places = digits < 0 ? 0 : (digits > DECIMAL_PLACES_MAX ? DECIMAL_PLACES_MAX : digits);
   string text = DoubleToString(value, places);
   for(int i = 0; i < StringLen(text); i++) {
      ushort c = StringGetCharacter(text, i);
      if(c >= '1' && c <= '9') return(text);
   }
   return(places > 0 ? "0." + StringSubstr("00000000", 0, places) : "0");
}
//+------------------------------------------------------------------+
