//+------------------------------------------------------------------+
//| Market.mqh: a symbol's grids and levels, and its quote            |
//|                                                                   |
//| Exact numbers: what is off a grid is refused, nothing is rounded. |
//| MQL4 reference, marketinformation/marketinfo.                     |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Word.mqh>
#include <Bridge/Order.mqh>
#include <Bridge/Zone.mqh>

class CSpec {
public:
   string symbol;
   int    digits;
   long   point;              // 1e-8 units
   long   volume_min;         // 1e-8 lots, as are volume_max and volume_step
   long   volume_max;
   long   volume_step;
   double contract_size;
   int    stops_level;        // points, as is freeze_level
   int    freeze_level;
};

class CMarket {
public:
   CZone  zone;

   bool   Spec(string symbol, CSpec &spec);
   bool   Quote(CSpec &spec, long &bid, long &ask);
   long   NowMs(void);
   long   UtcNowMs(void);
   bool   VolumeFits(CSpec &spec, long volume, long top, CWord &word);
};

//--- A symbol's terms; false if the broker has no such symbol, or shows no sane grid of it.
bool CMarket::Spec(string symbol, CSpec &spec) {
   spec.symbol = symbol;
   if(StringLen(symbol) == 0 || !SymbolSelect(symbol, true)) return(false);
   spec.digits = (int)MarketInfo(symbol, MODE_DIGITS);
   spec.contract_size = MarketInfo(symbol, MODE_LOTSIZE);
   spec.stops_level = (int)MarketInfo(symbol, MODE_STOPLEVEL);
   spec.freeze_level = (int)MarketInfo(symbol, MODE_FREEZELEVEL);
   if(spec.digits < 0 || spec.digits > DECIMAL_PLACES_MAX) return(false);
   if(!DecimalFromDouble(MarketInfo(symbol, MODE_POINT), spec.digits, spec.point)) return(false);
   if(!DecimalFromDouble(MarketInfo(symbol, MODE_MINLOT), DECIMAL_PLACES_MAX, spec.volume_min)
      || !DecimalFromDouble(MarketInfo(symbol, MODE_MAXLOT), DECIMAL_PLACES_MAX, spec.volume_max)
      || !DecimalFromDouble(MarketInfo(symbol, MODE_LOTSTEP), DECIMAL_PLACES_MAX,
                            spec.volume_step))
      return(false);
   return(spec.point > 0 && spec.volume_min > 0 && spec.volume_max >= spec.volume_min
          && spec.volume_step > 0);
}

//--- The quote of this moment, at the symbol's digits; false: there is none.
bool CMarket::Quote(CSpec &spec, long &bid, long &ask) {
   bool fresh = RefreshRates();            // false only says that nothing was newer
   if(!fresh) ResetLastError();
   if(!DecimalFromDouble(MarketInfo(spec.symbol, MODE_BID), spec.digits, bid)) return(false);
   if(!DecimalFromDouble(MarketInfo(spec.symbol, MODE_ASK), spec.digits, ask)) return(false);
   return(bid > 0 && ask >= bid);
}

//--- The broker's clock, ms: the time of its last quote.
long CMarket::NowMs(void) {
   return(1000 * (long)TimeCurrent());
}

//--- The same as UTC, as it is told outside.
long CMarket::UtcNowMs(void) {
   return(zone.ToUtcMs(NowMs()));
}

//--- Whether a volume lies within the bounds and on the step; `top` is what there is to close,
//    0 for an entry.
bool CMarket::VolumeFits(CSpec &spec, long volume, long top, CWord &word) {
   long most = top > 0 && top < spec.volume_max ? top : spec.volume_max;
   if(volume < spec.volume_min)
      return(word.Refuse(CODE_VOLUME_GRID, DecimalShort(spec.volume_min), DecimalShort(volume)));
   if(volume > most)
      return(word.Refuse(CODE_VOLUME_GRID, DecimalShort(most), DecimalShort(volume)));
   if(!DecimalOnGrid(volume, spec.volume_step))
      return(word.Refuse(CODE_VOLUME_GRID, DecimalShort(spec.volume_step), DecimalShort(volume)));
   return(true);
}
//+------------------------------------------------------------------+
