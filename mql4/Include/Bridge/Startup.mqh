//+-------------------------------------------------------------------+
//| Startup.mqh: what must be right before anything is opened         |
//|                                                                   |
//| In this order, the first fault ends it: tester, DLLs, key file,   |
//| libzmq, self-test. Each message says which and what to do; none   |
//| shows a secret. A fault here does not mend itself: the Advisor    |
//| does not start. Whatever can mend itself is in Notice.mqh.        |
//+-------------------------------------------------------------------+
#property strict
#include <Bridge/Keys.mqh>
#include <Bridge/SelfTest.mqh>
#include <Bridge/Zmq.mqh>

class CStartup {
private:
   bool Library(string &why);
   bool Vectors(string &why);

public:
   bool Check(CKeys &keys, string key_file, string &why);
   string Version(void);
   string Instance(long account);
   double Number(string instance);
};

//--- true: go on; the keys are loaded
bool CStartup::Check(CKeys &keys, string key_file, string &why) {
   why = "the strategy tester has no server and no keys: attach this Advisor to a live chart";
   if(IsTesting() || IsOptimization() || IsVisualMode()) return(false);
   why = "DLL imports are not allowed: tick `Allow DLL imports` in Tools, Options, Expert Advisors"
         " and in the Advisor's own tab Common, then attach it again";
   if(!IsDllsAllowed()) return(false);
   if(!keys.Load(key_file, why)) return(false);
   return(Library(why) && Vectors(why));
}

//--- the DLL that was loaded; a wrong one would only show as a link that never comes up
bool CStartup::Library(string &why) {
   CZmqDealer dealer;
   why = "libzmq.dll is version " + Version()
         + ", 4.3.4 or newer is needed: replace MQL4\\Libraries\\libzmq.dll (mql4/README.md)";
   if(!dealer.NewEnough()) return(false);
   why = "libzmq.dll was built without CURVE: replace MQL4\\Libraries\\libzmq.dll by one that has"
         " it (mql4/README.md)";
   return(dealer.HasCurve());
}

string CStartup::Version(void) {
   CZmqDealer dealer;
   return(dealer.Version());
}

//--- the shared test vectors, before the first byte leaves this terminal
bool CStartup::Vectors(string &why) {
   CSelfTest test;
   if(test.Run()) return(true);
   why = "the self-test failed in " + IntegerToString(test.Failures())
         + " places: run the script BridgeSelfTest and send what it prints; nothing was started";
   return(false);
}

//--- 16 hex digits that no other start has had: not a secret, only different each time
string CStartup::Instance(long account) {
   uchar seed[], digest[];
   string text = IntegerToString(account) + ":" + IntegerToString((long)GetMicrosecondCount()) + ":"
                 + IntegerToString((long)GetTickCount()) + ":" + IntegerToString((long)TimeLocal())
                 + ":" + IntegerToString(MathRand());
   if(!BytesFromText(text, seed) || !Sha256(seed, digest)) return("");
   return(StringSubstr(BytesHex(digest), 0, INCARNATION_HEX));
}

//--- the same as a number that a terminal variable holds exactly: 48 bits, never 0
double CStartup::Number(string instance) {
   uchar bytes[];
   double number = 0;
   if(BytesFromHex(instance, INCARNATION_HEX / 2, bytes))
      for(int i = 0; i < 6; i++) number = number * 256 + bytes[i];
   return(number + 1);
}
//+-------------------------------------------------------------------+
