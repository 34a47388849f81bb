//+-------------------------------------------------------------------+
//| Ticks.mqh: quotes of the allowed symbols, as they change          |
//|                                                                   |
//| OnTick knows the chart's own symbol only, so every symbol is      |
//| looked at each turn. The server signs ticks itself.               |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Caps.mqh>
#include <Bridge/Link.mqh>
#include <Bridge/Zone.mqh>

class CTicks {
private:
   double m_bid[];
   double m_ask[];
   bool m_zoned;  // the zone that the quotes were told by
   long m_zone_ms;

   bool ZoneChanged(CZone &zone);

public:
   CTicks(void);
   void Begin(CCaps &caps);
   void Look(CCaps &caps, CZone &zone, CLink &link);
};

CTicks::CTicks(void) {
   m_zoned = false;
   m_zone_ms = 0;
}

//--- The times that were told are wrong then, and a quiet symbol would keep its wrong one.
bool CTicks::ZoneChanged(CZone &zone) {
   if(zone.Known() == m_zoned && zone.OffsetMs() == m_zone_ms) return(false);
   m_zoned = zone.Known();
   m_zone_ms = zone.OffsetMs();
   return(true);
}

//--- forget what was told: the next look tells every quote
void CTicks::Begin(CCaps &caps) {
   int count = caps.Count();
   ArrayResize(m_bid, count);
   ArrayResize(m_ask, count);
   for(int i = 0; i < count; i++) {
      m_bid[i] = 0;
      m_ask[i] = 0;
      if(!SymbolSelect(caps.Symbol(i), true))
         Print("Bridge: the broker has no symbol ", caps.Symbol(i), ": correct the input Symbols");
   }
}

void CTicks::Look(CCaps &caps, CZone &zone, CLink &link) {
   MqlTick tick;
   if(ZoneChanged(zone)) Begin(caps);
   for(int i = 0; i < ArraySize(m_bid); i++) {
      string symbol = caps.Symbol(i);
      if(!SymbolInfoTick(symbol, tick) || tick.bid <= 0) continue;
      if(tick.bid == m_bid[i] && tick.ask == m_ask[i]) continue;
      int digits = (int)MarketInfo(symbol, MODE_DIGITS);
      string head = "TICK:" + symbol + ":" + DecimalOf(tick.bid, digits) + ":"
                    + DecimalOf(tick.ask, digits) + ":"
                    + IntegerToString(zone.ToUtcMs(1000 * (long)tick.time));
      if(!link.Say(head, "{}")) continue;  // told when it can be: only the newest quote counts
      m_bid[i] = tick.bid;
      m_ask[i] = tick.ask;
   }
}
//+-------------------------------------------------------------------+
