//+------------------------------------------------------------------+
//| BridgeSelfTest.mq4: does this terminal compute what the bridge    |
//| does? Drag it onto any chart; the answer stands in the tab        |
//| Experts. It sends nothing, reads no key and needs no DLL.         |
//+------------------------------------------------------------------+
#property strict
#property version   "1.0"
#property description "Runs the bridge's shared test vectors inside the terminal."
#include <Bridge/SelfTest.mqh>

void OnStart() {
   string lines[];
   CSelfTest test;
   bool passed = test.Run();
   int count = StringSplit(test.Report(), '\n', lines);
   for(int i = 0; i < count; i++) Print("self-test ", lines[i]);
   if(!passed) Alert("Bridge self-test FAILED: do not trade with this build; see the tab Experts");
}
//+------------------------------------------------------------------+
