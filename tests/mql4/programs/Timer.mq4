//+------------------------------------------------------------------+
//| Timer.mq4 - the Advisor as a classic one: it polls on a timer    |
//|                                                                  |
//| The same source as BridgeEA.mq4, but it never waits in zmq_recv: |
//| each OnTimer takes what has come and returns. It is there to be  |
//| measured beside the real one (make bench).                       |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Bridge.mqh>

input int TimerMs=25;
input string Symbols="";
input double MaxLots=0.01;
input int MaxPositions=1;
input int ExpectedAccount=0;
input string ExpectedServer="";

CBridge g_bridge;

int OnInit()
  {
   g_bridge.key_file="bridge.key";
   g_bridge.inputs.symbols=Symbols;
   g_bridge.inputs.max_lots=MaxLots;
   g_bridge.inputs.max_positions=MaxPositions;
   g_bridge.inputs.expected_account=ExpectedAccount;
   g_bridge.inputs.expected_server=ExpectedServer;
   g_bridge.inputs.allow_real=false;
   g_bridge.inputs.market_execution=false;
   g_bridge.inputs.dead_man_seconds=0;
   g_bridge.inputs.dead_man_policy=0;
   g_bridge.inputs.settle_seconds=60;
   if(!g_bridge.Start())
      return(INIT_FAILED);
   EventSetMillisecondTimer(TimerMs);
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   g_bridge.Stop();
   Print("stopped ",reason);
  }

void OnTimer()
  {
   g_bridge.Turn(false);
  }
//+------------------------------------------------------------------+
