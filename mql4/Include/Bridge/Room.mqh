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

#define MARKET_TIME_UNKNOWN (-LONG_MAX)

#define DEAD_MAN_REDUCE_ONLY 0
#define DEAD_MAN_CANCEL 1
#define DEAD_MAN_FLATTEN 2

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
   int      dead_man_policy;  // DEAD_MAN_REDUCE_ONLY, _CANCEL or _FLATTEN
   bool     market_execution;
   long     market_offset_ms; // the broker's clock against UTC, as far as quotes showed it

            CRoom(void);
   bool     CanSee(void);
   long     SettleMs(void);
   void     LearnMarketTime(void);
   void     LearnZone(void);
   long     MarketMsAt(long wall_ms);
};

CRoom::CRoom(void) {
   settle_seconds = 60;
   dead_man_seconds = 0;
   dead_man_policy = DEAD_MAN_REDUCE_ONLY;
   market_execution = false;
   market_offset_ms = MARKET_TIME_UNKNOWN;
}

//--- The broker's clock is shown by quotes only and stands still between them, so the largest
//    difference from UTC that was seen is the nearest to the true one, and never beyond it.
void CRoom::LearnMarketTime(void) {
   LearnZone();
   long market_ms = market.NowMs();
   if(market_ms <= 0 || !clock.Healthy()) return;
   long offset_ms = market_ms - clock.WallMs();
   if(offset_ms > market_offset_ms) market_offset_ms = offset_ms;
}

//--- Measure the broker's zone while its quotes may be believed; say and keep what is new.
void CRoom::LearnZone(void) {
   if(!IsConnected() || !account.MayBeRead() || !clock.Healthy()) {
      market.zone.Blind();
      return;
   }
   bool known = market.zone.Known();
   string before = market.zone.Text();
   if(!market.zone.Observe((long)TimeCurrent(), clock.WallMs(), clock.MonoMs())) return;
   market_offset_ms = MARKET_TIME_UNKNOWN;
   if(!known) Print("Bridge: the broker's clock is ", market.zone.Text());
   else alerts.Raise("warning", "ZONE", "the broker's clock was set from " + before + " to "
                     + market.zone.Text() + ": look at the expirations of pending orders");
   if(!state.KeepZone(market.zone.OffsetMs()))
      alerts.Raise("warning", "STATE_FILE", "the state file could not be written");
}

//--- The broker's time (ms) at a UTC time, never later than it was; 0: no quote was seen yet.
long CRoom::MarketMsAt(long wall_ms) {
   LearnMarketTime();
   if(market_offset_ms == MARKET_TIME_UNKNOWN) return(0);
   return(wall_ms + market_offset_ms);
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
