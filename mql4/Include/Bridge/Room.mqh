//+------------------------------------------------------------------+
//| Room.mqh: everything a trading desk works with, in one place      |
//|                                                                   |
//| MQL4 without object pointers: collaborators are members of one    |
//| object, and each class is handed that object by reference.        |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Keys.mqh>
#include <Bridge/Clock.mqh>
#include <Bridge/Journal.mqh>
#include <Bridge/State.mqh>
#include <Bridge/Tag.mqh>
#include <Bridge/Account.mqh>
#include <Bridge/Alerts.mqh>
#include <Bridge/Caps.mqh>
#include <Bridge/Errors.mqh>
#include <Bridge/Herald.mqh>
#include <Bridge/Levels.mqh>
#include <Bridge/Pace.mqh>
#include <Bridge/Pools.mqh>
#include <Bridge/Request.mqh>
#include <Bridge/Trader.mqh>
#include <Bridge/Watch.mqh>

class CRoom {
public:
   CKeys    keys;
   CClock   clock;
   CJournal journal;
   CState   state;
   CAccount account;
   CMarket  market;
   CLevels  levels;
   CPools   pools;
   CCaps    caps;
   CTrader  trader;
   CErrors  errors;
   CWatch   watch;
   CPace    pace;
   CAlerts  alerts;
   int      settle_seconds;
   int      dead_man_seconds;
   bool     market_execution;

            CRoom(void);
   bool     CanSee(void);
   long     SettleMs(void);
};

CRoom::CRoom(void) {
   settle_seconds = 60;
   dead_man_seconds = 0;
   market_execution = false;
}

//--- Whether the broker's lists may be believed now: connected, and the right account.
bool CRoom::CanSee(void) {
   string wanted, found;
   return(IsConnected() && account.IsRight(wanted, found));
}

long CRoom::SettleMs(void) {
   return(1000 * (long)settle_seconds);
}
//+------------------------------------------------------------------+
