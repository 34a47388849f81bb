//+-------------------------------------------------------------------+
//| BridgeEA.mq4: carries out signed orders, trusts nobody            |
//|                                                                   |
//| Wiring only: inputs and the terminal's events. The rest is in     |
//| Include/Bridge; how to install it is in mql4/README.md.           |
//+-------------------------------------------------------------------+
#property copyright "zero-trust bridge"
#property version "5.00"
#property description "Carries out orders that the connector signed, and nothing else."
#property strict
#include <Bridge/Bridge.mqh>

input string KeyFile = "bridge.key";    // key file in MQL4\Files, made by `ztb init`
input string Symbols = "";              // symbols it may trade, comma separated; empty: none
input double MaxLots = 0.01;            // largest volume of one order, lots
input int MaxPositions = 1;             // most positions and pending orders at a time
input int ExpectedAccount = 0;          // account number; 0: trade nothing
input string ExpectedServer = "";       // the broker's server, as the terminal shows it
input bool AllowReal = false;           // true: also on a real account
input bool MarketExecution = false;     // true: the broker takes stops only after the entry
input int DeadManSeconds = 0;           // entries stop after so long without a heartbeat; 0: off
input int DeadManPolicy = 0;            // and then, once armed: 0 only that, 1 cancel, 2 flatten
input int SettleSeconds = 60;           // how long an order may stay hidden at the broker

CBridge g_bridge;

int OnInit() {
   g_bridge.key_file = KeyFile;
   g_bridge.inputs.symbols = Symbols;
   g_bridge.inputs.max_lots = MaxLots;
   g_bridge.inputs.max_positions = MaxPositions;
   g_bridge.inputs.expected_account = ExpectedAccount;
   g_bridge.inputs.expected_server = ExpectedServer;
   g_bridge.inputs.allow_real = AllowReal;
   g_bridge.inputs.market_execution = MarketExecution;
   g_bridge.inputs.dead_man_seconds = DeadManSeconds;
   g_bridge.inputs.dead_man_policy = DeadManPolicy;
   g_bridge.inputs.settle_seconds = SettleSeconds;
   if(!g_bridge.Start()) return(INIT_FAILED);
   if(EventSetMillisecondTimer(BRIDGE_TIMER_MS)) return(INIT_SUCCEEDED);
   Print("Bridge: not started: the terminal gives no timer: restart it");
   g_bridge.Stop();
   return(INIT_FAILED);
}

void OnDeinit(const int reason) {
   EventKillTimer();
   g_bridge.Stop();
   Print("Bridge: stopped (reason ", reason, ")");
}

void OnTick() {
   g_bridge.Turn(false);
}

void OnTimer() {
   g_bridge.Turn(true);
}
//+-------------------------------------------------------------------+
