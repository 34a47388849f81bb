//+------------------------------------------------------------------+
//| Caps.mqh: the terminal's own limits, whatever was signed          |
//|                                                                   |
//| Inputs of the Advisor, timid by default: no symbol, 0.01 lots,    |
//| one position. Nothing that travels can raise them.                |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Word.mqh>
#include <Bridge/Decimal.mqh>

class CCaps {
private:
   string m_symbols[];
   long   m_max_lots;         // 1e-8 lots
   int    m_max_positions;

public:
          CCaps(void) { m_max_lots = 0; m_max_positions = 0; }
   bool   Set(string symbols, double max_lots, int max_positions, string &why);
   bool   Allows(string symbol);
   int    Count(void);
   string Symbol(int i);
   long   MaxLots(void);
   int    MaxPositions(void);
   bool   SymbolAllowed(string symbol, CWord &word);
   bool   VolumeAllowed(long volume, CWord &word);
   bool   EntriesAllowed(int held, CWord &word);
};

//--- Take the inputs; false, and nothing may be entered, if one makes no sense.
bool CCaps::Set(string symbols, double max_lots, int max_positions, string &why) {
   string parts[];
   ArrayResize(m_symbols, 0);
   m_max_lots = 0;
   m_max_positions = 0;
   int count = StringLen(symbols) > 0 ? StringSplit(symbols, ',', parts) : 0;
   for(int i = 0; i < count; i++) {
      string name = StringTrimLeft(StringTrimRight(parts[i]));
      if(StringLen(name) == 0 || Allows(name)) continue;
      int size = ArraySize(m_symbols);
      ArrayResize(m_symbols, size + 1);
      m_symbols[size] = name;
   }
   why = "MaxLots must be a number of lots, 0 or more";
   if(!DecimalFromDouble(max_lots, DECIMAL_PLACES_MAX, m_max_lots) || m_max_lots < 0) {
      m_max_lots = 0;
      return(false);
   }
   why = "MaxPositions must be 0 or more";
   if(max_positions < 0) return(false);
   m_max_positions = max_positions;
   why = "";
   return(true);
}

bool CCaps::Allows(string symbol) {
   for(int i = 0; i < ArraySize(m_symbols); i++)
      if(m_symbols[i] == symbol) return(true);
   return(false);
}

int CCaps::Count(void) {
   return(ArraySize(m_symbols));
}

string CCaps::Symbol(int i) {
   return(m_symbols[i]);
}

long CCaps::MaxLots(void) {
   return(m_max_lots);
}

int CCaps::MaxPositions(void) {
   return(m_max_positions);
}

bool CCaps::SymbolAllowed(string symbol, CWord &word) {
   if(Allows(symbol)) return(true);
   return(word.Refuse(CODE_SYMBOL_NOT_ALLOWED, "", symbol));
}

bool CCaps::VolumeAllowed(long volume, CWord &word) {
   if(volume <= m_max_lots) return(true);
   return(word.Refuse(CODE_MAX_VOLUME, DecimalShort(m_max_lots), DecimalShort(volume)));
}

//--- `held`: open positions, resting orders, and entries whose outcome is UNKNOWN.
bool CCaps::EntriesAllowed(int held, CWord &word) {
   if(held < m_max_positions) return(true);
   return(word.Refuse(CODE_MAX_POSITIONS, IntegerToString(m_max_positions),
                      IntegerToString(held + 1)));
}
//+------------------------------------------------------------------+
