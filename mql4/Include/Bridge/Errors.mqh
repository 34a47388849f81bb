//+------------------------------------------------------------------+
//| Errors.mqh: what a broker's error code proves                     |
//|                                                                   |
//| An allow-list: a listed code proves that this call did nothing.   |
//| Every other one (1, 2, 4, 6, 128, 142, 143, a code that no page   |
//| names, or none) leaves the outcome UNKNOWN, and the broker's own  |
//| records are asked before anything else. Source: MQL4 reference,   |
//| constants/errorswarnings/errorcodes and trading/errors.           |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Codes.mqh>

#define ERROR_OF_TERMINAL 4000         // from here on the terminal refused: nothing left it

class CErrors {
private:
   string OfServer(int error);
   string OfTerminal(int error);

public:
   string Rejection(int error);
   bool   Passing(int error);
};

//--- The ReasonCode of a definite rejection, or "" when the code proves nothing.
string CErrors::Rejection(int error) {
   if(error >= ERROR_OF_TERMINAL) return(OfTerminal(error));
   return(OfServer(error));
}

string CErrors::OfServer(int error) {
   switch(error) {
      case 129: return(CODE_INVALID_PRICE);
      case 130: return(CODE_INVALID_STOPS);
      case 131: return(CODE_INVALID_VOLUME);
      case 132: return(CODE_MARKET_CLOSED);
      case 133: return(CODE_TRADE_DISABLED);
      case 134: return(CODE_NO_MONEY);
      case 135: return(CODE_REQUOTE);          // the price has changed
      case 136: return(CODE_PRICE_OFF);        // off quotes
      case 138: return(CODE_REQUOTE);
      case 145: return(CODE_INVALID_STOPS);    // too close to the market to be modified
      case 148: return(CODE_TOO_MANY_ORDERS);
      case 64:  return(CODE_TRADE_DISABLED);   // account disabled
      case 65:  return(CODE_TRADE_DISABLED);   // invalid account
      case 140: return(CODE_TRADE_DISABLED);   // long positions only
      case 3:                                  // invalid trade parameters
      case 5:                                  // old version of the terminal
      case 7:                                  // not enough rights
      case 8:                                  // too frequent requests
      case 137:                                // the broker is busy
      case 139:                                // the order is locked by another request
      case 141:                                // too many requests
      case 146:                                // the trade context is busy: not sent
      case 147:                                // expirations are denied by the broker
      case 149:                                // hedging is prohibited
      case 150:                                // prohibited by the FIFO rule
         return(CODE_BROKER_REJECTED);
      default: break;
   }
   return("");
}

string CErrors::OfTerminal(int error) {
   switch(error) {
      case 4107: return(CODE_INVALID_PRICE);
      case 4108: return(CODE_INVALID_TICKET);
      case 4109:                               // trading is not allowed for this Advisor
      case 4110:                               // long positions are not allowed for it
      case 4111:                               // short positions are not allowed for it
      case 4112:                               // automated trading is disabled by the server
         return(CODE_TRADE_DISABLED);
      case 4051:                               // invalid function parameter
      case 4106:                               // unknown symbol
         return(CODE_BROKER_REJECTED);
      default: break;
   }
   return("");
}

//--- Whether the same protective step may well be taken a moment later. Orders are never sent
//    again: for them each of these is the outcome.
bool CErrors::Passing(int error) {
   switch(error) {
      case 8:
      case 132:
      case 135:
      case 136:
      case 137:
      case 138:
      case 139:
      case 141:
      case 146:
      case 4109:
      case 4112:
         return(true);
      default: break;
   }
   return(Rejection(error) == "");
}
//+------------------------------------------------------------------+
