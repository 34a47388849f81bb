//+------------------------------------------------------------------+
//| trade_main.mq4: the Advisor's trading desk without its link       |
//|                                                                   |
//| At each tick it reads MQL4/Files/trade_in.txt, one command of     |
//| words between spaces: number, verb, arguments (bytes in hex). Each  |
//| number is done once; the answer is printed as "A number text".    |
//+------------------------------------------------------------------+
#property strict
#include <Bridge/Desk.mqh>

input string KeyFile = "bridge.key";
input string Symbols = "EURUSD";
input double MaxLots = 1.0;
input int    MaxPositions = 10;
input int    ExpectedAccount = 0;
input string ExpectedServer = "";
input bool   AllowReal = false;
input bool   MarketExecution = false;
input int    DeadManSeconds = 0;
input int    DeadManPolicy = 0;
input int    SettleSeconds = 60;

//--- Says aloud what the link would send.
class CSpokenHerald : public CHerald {
public:
   virtual void Busy(long number, string rid) {
      Print("BUSY ", IntegerToString(number), " ", rid);
   }
};

CDesk         g_desk;
CSpokenHerald g_herald;
string        g_words[];
long          g_done = 0;

string Argument(int i) {
   return(i < ArraySize(g_words) ? g_words[i] : "");
}

void Frame(int i, uchar &data[]) {
   string hex = Argument(i);
   if(!BytesFromHex(hex, StringLen(hex) / 2, data)) ArrayResize(data, 0);
}

string Exec(void) {
   uchar token[], body[];
   CWord word;
   Frame(4, token);
   Frame(5, body);
   long number = StringToInteger(Argument(2));
   bool answers = g_desk.Exec(number, Argument(3), token, body, g_herald, word);
   return(answers ? word.Json() : "dropped");
}

string Forward(void) {
   uchar token[], body[];
   CWord word;
   bool is_word = false;
   string state = "";
   Frame(2, token);
   Frame(3, body);
   if(!g_desk.Forward(token, body, word, is_word, state)) return("dropped");
   return(is_word ? word.Json() : state);
}

string Alerts(void) {
   string level, code, message;
   string all = "";
   while(g_desk.TakeAlert(level, code, message))
      all = all + level + " " + code + " " + message + "|";
   return(all);
}

//--- Some turns of what goes on by itself, as the link's pump makes them.
string Turns(void) {
   int count = (int)StringToInteger(Argument(2));
   for(int i = 0; i < count; i++) {
      g_desk.room.clock.Poll();
      g_desk.Turn(g_herald);
   }
   return(IntegerToString(g_desk.Unfinished()));
}

string Answer(string verb) {
   CWord word;
   if(verb == "exec") return(Exec());
   if(verb == "forward") return(Forward());
   if(verb == "status") {
      g_desk.Status(Argument(2), word);
      return(word.Json());
   }
   if(verb == "tombstone")
      return(g_desk.Tombstone(Argument(2), Argument(3), word) ? word.Json() : "dropped");
   if(verb == "turn") return(Turns());
   if(verb == "state") return(g_desk.StateJson());
   if(verb == "alerts") return(Alerts());
   if(verb == "rejection") {
      CErrors errors;
      return(errors.Rejection((int)StringToInteger(Argument(2))));
   }
   return("unknown verb");
}

int OnInit() {
   CDeskInputs inputs;
   string why = "";
   if(!g_desk.room.keys.Load(KeyFile, why)) {
      Print("keys: ", why);
      return(1);
   }
   g_desk.room.clock.Start();
   inputs.symbols = Symbols;
   inputs.max_lots = MaxLots;
   inputs.max_positions = MaxPositions;
   inputs.expected_account = ExpectedAccount;
   inputs.expected_server = ExpectedServer;
   inputs.allow_real = AllowReal;
   inputs.market_execution = MarketExecution;
   inputs.dead_man_seconds = DeadManSeconds;
   inputs.dead_man_policy = DeadManPolicy;
   inputs.settle_seconds = SettleSeconds;
   inputs.instance = "00112233445566ff";
   if(!g_desk.Start(inputs, why)) {
      Print("desk: ", why);
      return(1);
   }
   return(INIT_SUCCEEDED);
}

void OnDeinit(const int reason) {
   g_desk.Stop();
}

void OnTick() {
   uchar data[];
   int handle = FileOpen("trade_in.txt", FILE_READ | FILE_BIN | FILE_SHARE_READ);
   if(handle == INVALID_HANDLE) return;
   ArrayResize(data, (int)FileSize(handle));
   uint size = FileReadArray(handle, data, 0, ArraySize(data));
   FileClose(handle);
   StringSplit(BytesText(data, 0, (int)size), ' ', g_words);
   long number = StringToInteger(Argument(0));
   if(number <= g_done) return;
   g_done = number;
   g_desk.room.LearnMarketTime();
   Print("A ", IntegerToString(number), " ", Answer(Argument(1)));
}
//+------------------------------------------------------------------+
