//+------------------------------------------------------------------+
//| Levels.mqh: prices of an entry or a change against the market     |
//|                                                                   |
//| In the order of protocol.md 8: quote, grid, sides, levels,        |
//| expiration. Stops are measured from the price at which a market   |
//| position would be closed now, and from a pending order's own      |
//| price (MQL4 book, appendix: requirements and limitations).        |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Market.mqh>

class CProposal {
public:
   int    type;               // OP_BUY .. OP_SELLSTOP
   long   price;              // 1e-8 units: of a pending order; 0: at the market
   long   sl;
   long   tp;
   long   expiration;         // UTC ms, as signed; 0: none
   long   reference;          // of a market order; 0: none
   bool   sets_price;         // false: a resting price that stays where it is
};

class CLevels {
private:
   long   m_bid;
   long   m_ask;

   bool   OnGrid(CSpec &spec, long price, CWord &word);
   bool   PricesOnGrid(CSpec &spec, CProposal &wanted, CWord &word);
   long   PriceGap(CProposal &wanted);
   long   StopGap(CProposal &wanted, bool is_sl);
   bool   OnTheirSides(CSpec &spec, CProposal &wanted, CWord &word);
   bool   FarEnough(CSpec &spec, CProposal &wanted, CWord &word);
   bool   ExpiresLater(CMarket &market, CProposal &wanted, CWord &word);
   bool   Near(long one, long other, long distance);

public:
          CLevels(void) { m_bid = 0; m_ask = 0; }
   bool   Refresh(CMarket &market, CSpec &spec);
   bool   Allow(CMarket &market, CSpec &spec, CProposal &wanted, CWord &word);
   bool   Frozen(CSpec &spec, COrder &order);
   long   Fill(int type);
};

//--- Take the quote of this moment; false: there is none.
bool CLevels::Refresh(CMarket &market, CSpec &spec) {
   return(market.Quote(spec, m_bid, m_ask));
}

//--- Whether every price may be asked for; else the first refusal is in `word`.
bool CLevels::Allow(CMarket &market, CSpec &spec, CProposal &wanted, CWord &word) {
   if(!Refresh(market, spec)) return(word.Refuse(CODE_NO_QUOTE, "", spec.symbol));
   return(PricesOnGrid(spec, wanted, word)
          && OnTheirSides(spec, wanted, word)
          && FarEnough(spec, wanted, word)
          && ExpiresLater(market, wanted, word));
}

//--- The price at which an entry of this type fills now, by the last quote taken.
long CLevels::Fill(int type) {
   return(OrderTypeBuys(type) ? m_ask : m_bid);
}

bool CLevels::OnGrid(CSpec &spec, long price, CWord &word) {
   if(DecimalOnGrid(price, spec.point)) return(true);
   return(word.Refuse(CODE_PRICE_GRID, DecimalShort(spec.point), DecimalShort(price)));
}

bool CLevels::PricesOnGrid(CSpec &spec, CProposal &wanted, CWord &word) {
   if(OrderTypeRests(wanted.type) && wanted.price == 0)
      return(word.Refuse(CODE_PRICE_GRID, DecimalShort(spec.point), "0"));
   return(OnGrid(spec, wanted.price, word) && OnGrid(spec, wanted.reference, word)
          && OnGrid(spec, wanted.sl, word) && OnGrid(spec, wanted.tp, word));
}

//--- How far a resting price lies on its right side: limits better than the market, stops worse.
long CLevels::PriceGap(CProposal &wanted) {
   long gap = Fill(wanted.type) - wanted.price;
   return(wanted.type == OP_BUYLIMIT || wanted.type == OP_SELLSTOP ? gap : -gap);
}

long CLevels::StopGap(CProposal &wanted, bool is_sl) {
   bool buys = OrderTypeBuys(wanted.type);
   long base = wanted.price;
   if(!OrderTypeRests(wanted.type)) base = buys ? m_bid : m_ask;
   long gap = is_sl ? base - wanted.sl : wanted.tp - base;
   return(buys ? gap : -gap);
}

bool CLevels::OnTheirSides(CSpec &spec, CProposal &wanted, CWord &word) {
   if(OrderTypeRests(wanted.type) && wanted.sets_price && PriceGap(wanted) <= 0)
      return(word.Refuse(CODE_PRICE_SIDE, DecimalText(Fill(wanted.type), spec.digits),
                         DecimalText(wanted.price, spec.digits)));
   if(wanted.sl > 0 && StopGap(wanted, true) <= 0)
      return(word.Refuse(CODE_STOPS_SIDE, "", DecimalText(wanted.sl, spec.digits)));
   if(wanted.tp > 0 && StopGap(wanted, false) <= 0)
      return(word.Refuse(CODE_STOPS_SIDE, "", DecimalText(wanted.tp, spec.digits)));
   return(true);
}

bool CLevels::FarEnough(CSpec &spec, CProposal &wanted, CWord &word) {
   long level = spec.stops_level * spec.point;
   string least = DecimalText(level, spec.digits);
   if(OrderTypeRests(wanted.type) && wanted.sets_price && PriceGap(wanted) < level)
      return(word.Refuse(CODE_STOPS_LEVEL, least, DecimalText(wanted.price, spec.digits)));
   if(wanted.sl > 0 && StopGap(wanted, true) < level)
      return(word.Refuse(CODE_STOPS_LEVEL, least, DecimalText(wanted.sl, spec.digits)));
   if(wanted.tp > 0 && StopGap(wanted, false) < level)
      return(word.Refuse(CODE_STOPS_LEVEL, least, DecimalText(wanted.tp, spec.digits)));
   return(true);
}

//--- An expiration is a time still to come, whole seconds, of a pending order. Without the zone
//    nobody could tell the broker which moment was signed.
bool CLevels::ExpiresLater(CMarket &market, CProposal &wanted, CWord &word) {
   if(wanted.expiration == 0) return(true);
   if(!market.zone.Known())
      return(word.Refuse(CODE_NO_QUOTE, "time zone of the broker",
                         "not known before two fresh quotes"));
   long now = market.UtcNowMs();
   if(OrderTypeRests(wanted.type) && wanted.expiration > now && wanted.expiration % 1000 == 0)
      return(true);
   return(word.Refuse(CODE_EXPIRATION, IntegerToString(now), IntegerToString(wanted.expiration)));
}

//--- Whether the broker lets an order alone because the market is so near to it that it may be
//    carried out at any moment (freeze level), by the last quote taken.
bool CLevels::Frozen(CSpec &spec, COrder &order) {
   long freeze = spec.freeze_level * spec.point;
   if(freeze <= 0) return(false);
   if(order.IsPending()) return(Near(Fill(order.type), order.open_price, freeze));
   long closing = order.Buys() ? m_bid : m_ask;
   if(order.sl > 0 && Near(closing, order.sl, freeze)) return(true);
   return(order.tp > 0 && Near(closing, order.tp, freeze));
}

bool CLevels::Near(long one, long other, long distance) {
   return(one - other <= distance && other - one <= distance);
}
//+------------------------------------------------------------------+
