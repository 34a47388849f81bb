//+------------------------------------------------------------------+
//| Desk.mq4 - an EA that does what a test tells it: one act a line  |
//| in MQL4/Files/do.txt, one print "answer N VALUE ERROR" for each. |
//+------------------------------------------------------------------+
#property strict

#define ORDER_FILE "do.txt"

int g_log=INVALID_HANDLE;
string g_words[];
int g_acts=0;
int g_ticks=0;
int g_timers=0;

string Word(int i)
  {
   if(i>=ArraySize(g_words))
      return("");
   return(g_words[i]);
  }

int Number(int i)
  {
   return((int)StringToInteger(Word(i)));
  }

double Real(int i)
  {
   return(StringToDouble(Word(i)));
  }

int OnInit()
  {
   EventSetMillisecondTimer(1);
   Print("ready ",AccountNumber()," ",AccountServer()," ",Symbol());
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   if(g_log!=INVALID_HANDLE)
      FileClose(g_log);
   g_log=INVALID_HANDLE;
   Print("bye ",reason);
  }

void OnTick()
  {
   g_ticks++;
  }

void OnTimer()
  {
   g_timers++;
   if(!FileIsExist(ORDER_FILE))
     {
      ResetLastError();
      return;
     }
   int handle=FileOpen(ORDER_FILE,FILE_READ|FILE_TXT|FILE_ANSI);
   if(handle==INVALID_HANDLE)
      return;
   string line=FileReadString(handle);
   FileClose(handle);
   if(!FileDelete(ORDER_FILE))
      return;
   g_acts=(int)StringToInteger(line);
   int space=StringFind(line," ");
   if(space<0)
      return;
   StringSplit(StringSubstr(line,space+1),' ',g_words);
   ResetLastError();
   string value=Act();
   Print("answer ",g_acts," ",value," ",GetLastError());
  }

string Act()
  {
   string act=Word(0);
   if(act=="send")
      return((string)OrderSend(Word(1),Number(2),Real(3),Real(4),Number(5),Real(6),Real(7),Word(8),Number(9),(datetime)StringToInteger(Word(10))));
   if(act=="modify")
      return((string)OrderModify(Number(1),Real(2),Real(3),Real(4),(datetime)StringToInteger(Word(5))));
   if(act=="close")
      return((string)OrderClose(Number(1),Real(2),Real(3),Number(4)));
   if(act=="delete")
      return((string)OrderDelete(Number(1)));
   if(act=="select")
      return(Selected(OrderSelect(Number(1),Number(2),Number(3))));
   if(act=="totals")
      return((string)OrdersTotal()+"/"+(string)OrdersHistoryTotal());
   if(act=="state")
      return((string)IsTradeAllowed()+"/"+(string)IsTradeContextBusy()+"/"+(string)IsConnected());
   if(act=="quote")
      return(DoubleToString(MarketInfo("EURUSD",MODE_BID),5));
   if(act=="counts")
      return((string)g_ticks+"/"+(string)g_timers);
   if(act=="clocks")
      return(Clocks());
   if(act=="open")
      return(OpenLog(Word(1)));
   if(act=="append")
      return(Append(Word(1)));
   if(act=="size")
      return((string)FileSize(g_log));
   if(act=="move")
      return((string)FileMove(Word(1),0,Word(2),FILE_REWRITE));
   if(act=="erase")
      return((string)FileDelete(Word(1)));
   if(act=="sleep")
     {
      Sleep(Number(1));
      return("slept");
     }
   if(act=="remove")
     {
      ExpertRemove();
      return("going");
     }
   return("unknown");
  }

string Selected(bool found)
  {
   if(!found)
      return("none");
   return((string)OrderTicket()+","+(string)OrderType()+","+DoubleToString(OrderLots(),2)+","+
          DoubleToString(OrderOpenPrice(),5)+","+DoubleToString(OrderClosePrice(),5)+","+
          DoubleToString(OrderProfit(),2)+","+(string)OrderMagicNumber()+","+OrderSymbol());
  }

string Clocks()
  {
   return((string)(long)TimeGMT()+"/"+(string)(long)TimeCurrent()+"/"+(string)(long)GetTickCount());
  }

string OpenLog(string name)
  {
   g_log=FileOpen(name,FILE_READ|FILE_WRITE|FILE_BIN);
   if(g_log==INVALID_HANDLE)
      return("refused");
   FileSeek(g_log,0,SEEK_END);
   return("opened");
  }

string Append(string text)
  {
   uchar data[];
   int length=StringToCharArray(text,data,0,WHOLE_ARRAY,CP_UTF8)-1;
   ArrayResize(data,length);
   uint written=FileWriteArray(g_log,data);
   FileFlush(g_log);
   return((string)written+"/"+(string)FileSize(g_log));
  }
//+------------------------------------------------------------------+
