//+------------------------------------------------------------------+
//| Builtins.mq4 - a script: one print "name=value" for each built-in|
//| as documented; the test holds what the page promises.            |
//+------------------------------------------------------------------+
#property strict

uchar g_bytes[];

void Say(string name,string value)
  {
   Print(name,"=",value);
  }

string Hex(const uchar &data[])
  {
   string text="";
   for(int i=0; i<ArraySize(data); i++)
      text+=StringFormat("%02x",data[i]);
   return(text);
  }

void Strings()
  {
   Say("substr",StringSubstr("abcdef",2,3));
   Say("substr_rest",StringSubstr("abcdef",4));
   Say("substr_past",StringSubstr("abc",3,1)+"|");
   Say("find",(string)StringFind("a:b:c",":",2));
   Say("find_none",(string)StringFind("abc","x"));
   Say("getchar",(string)StringGetCharacter("abc",1));
   string text="abc";
   StringSetCharacter(text,3,'d');
   Say("setchar_append",text);
   StringSetCharacter(text,1,0);
   Say("setchar_cut",text);
   string parts[];
   int count=StringSplit("a,b,,c",',',parts);
   Say("split",(string)count+"/"+parts[2]+"/"+parts[3]);
   Say("split_empty",(string)StringSplit("",',',parts));
   text="a-b-c";
   count=StringReplace(text,"-","+");
   Say("replace",(string)count+"/"+text);
   Say("trim",StringTrimLeft(StringTrimRight("  x \t\n"))+"|");
   text="aBc1";
   StringToUpper(text);
   Say("upper",text);
   StringToLower(text);
   Say("lower",text);
   Say("compare",(string)StringCompare("a","b")+(string)StringCompare("A","a",false));
   Say("integer",(string)StringToInteger("-42abc"));
   Say("integer_none",(string)StringToInteger("abc"));
   Say("double",DoubleToString(StringToDouble("1.25xyz"),4));
   Say("double_word",DoubleToString(StringToDouble("nan"),1));
   Say("double_hex",DoubleToString(StringToDouble("0x10"),1));
   Say("time",(string)(long)StringToTime("2020.01.02 03:04"));
   Say("short",ShortToString(0x20AC)+CharToString('x'));
   Say("concat",StringConcatenate("a",1,true));
  }

void Conversions()
  {
   int count=0;
   ArrayResize(g_bytes,0);
   count=StringToCharArray("ab",g_bytes,0,WHOLE_ARRAY,CP_UTF8);
   Say("tochars",(string)count+"/"+Hex(g_bytes));
   count=StringToCharArray("z",g_bytes,0,WHOLE_ARRAY,CP_UTF8);
   Say("tochars_keeps",(string)count+"/"+Hex(g_bytes));
   ArrayResize(g_bytes,0);
   count=StringToCharArray("abcd",g_bytes,0,2,CP_UTF8);
   Say("tochars_count",(string)count+"/"+Hex(g_bytes));
   ArrayResize(g_bytes,0);
   StringToCharArray(ShortToString(0x20AC),g_bytes,0,WHOLE_ARRAY,CP_UTF8);
   Say("utf8",Hex(g_bytes));
   uchar raw[5]={65,66,0,67,68};
   Say("fromchars",CharArrayToString(raw,0,WHOLE_ARRAY,CP_UTF8));
   Say("fromchars_part",CharArrayToString(raw,3,2));
   Say("normalize",DoubleToString(NormalizeDouble(1.234567,5),8));
   Say("abs_max_min",(string)MathAbs(-3)+(string)MathMax(2,5)+(string)MathMin(2,5));
   Say("round",DoubleToString(MathRound(2.5),0)+DoubleToString(MathFloor(-1.5),0)+DoubleToString(MathCeil(1.2),0));
   Say("valid",(string)MathIsValidNumber(MathSqrt(-1)));
  }

void Hashes()
  {
   uchar key[],digest[];
   ArrayResize(g_bytes,0);
   StringToCharArray("abc",g_bytes,0,3,CP_UTF8);
   int count=CryptEncode(CRYPT_HASH_SHA256,g_bytes,key,digest);
   Say("sha256",(string)count+"/"+Hex(digest));
   ArrayResize(g_bytes,1000);
   ArrayInitialize(g_bytes,97);
   CryptEncode(CRYPT_HASH_SHA256,g_bytes,key,digest);
   Say("sha256_long",Hex(digest));
  }

void Times()
  {
   MqlDateTime parts;
   TimeToStruct((datetime)1583020800,parts);
   Say("struct",(string)parts.year+"."+(string)parts.mon+"."+(string)parts.day+" "+(string)parts.day_of_week+" "+(string)parts.day_of_year);
   Say("back",(string)(long)StructToTime(parts));
   Say("offset",(string)TimeGMTOffset());
   uint before=GetTickCount();
   Sleep(30);
   Say("slept",(string)(GetTickCount()-before>=30));
  }

void Errors()
  {
   ResetLastError();
   double none=GlobalVariableGet("no.such.variable");
   Say("error_first",(string)GetLastError()+" "+DoubleToString(none,0));
   Say("error_again",(string)GetLastError());
   MarketInfo("NOSUCH",MODE_BID);
   Say("error_symbol",(string)GetLastError());
   bool found=OrderSelect(999999,SELECT_BY_TICKET);
   Say("select_fails",(string)found+(string)GetLastError());
  }

void Globals()
  {
   bool first=GlobalVariableTemp("g.temp");
   Say("temp",(string)first+(string)GlobalVariableTemp("g.temp"));
   GlobalVariableSet("g.one",5);
   first=GlobalVariableSetOnCondition("g.one",7,4);
   Say("condition",(string)first+(string)GlobalVariableSetOnCondition("g.one",7,5));
   Say("global",DoubleToString(GlobalVariableGet("g.one"),1)+(string)GlobalVariableCheck("g.one"));
   first=GlobalVariableDel("g.one");
   Say("global_deleted",(string)first+(string)GlobalVariableCheck("g.one"));
  }

void Files()
  {
   int handle=FileOpen("folder\\test.bin",FILE_READ|FILE_WRITE|FILE_BIN);
   uchar data[5]={1,2,3,4,5};
   uint count=FileWriteArray(handle,data);
   Say("write",(string)count+"/"+(string)FileTell(handle)+"/"+(string)FileSize(handle));
   FileSeek(handle,1,SEEK_SET);
   uchar back[];
   count=FileReadArray(handle,back,0,3);
   Say("read",(string)count+"/"+Hex(back)+"/"+(string)FileIsEnding(handle));
   Say("second_open",(string)FileOpen("folder\\test.bin",FILE_READ|FILE_BIN));
   Say("delete_open",(string)FileDelete("folder\\test.bin"));
   FileClose(handle);
   bool done=FileMove("folder\\test.bin",0,"moved.bin",0);
   Say("move",(string)done+(string)FileIsExist("folder\\test.bin")+(string)FileIsExist("moved.bin"));
   Say("size_by_name",(string)FileGetInteger("moved.bin",FILE_SIZE));
   handle=FileOpen("moved.bin",FILE_WRITE|FILE_TXT|FILE_ANSI);
   Say("emptied",(string)FileSize(handle));
   FileWriteString(handle,"first\r\nsecond\n");
   FileClose(handle);
   handle=FileOpen("moved.bin",FILE_READ|FILE_TXT|FILE_ANSI);
   string line=FileReadString(handle);
   line+="/"+FileReadString(handle);
   Say("lines",line+"/"+(string)FileIsEnding(handle));
   FileClose(handle);
   done=FileDelete("moved.bin");
   Say("delete",(string)done+(string)FileIsExist("moved.bin"));
   handle=FileOpen("none.bin",FILE_READ|FILE_BIN);
   Say("open_missing",(string)handle+"/"+(string)GetLastError());
  }

void Market()
  {
   Say("symbol",Symbol()+(string)SymbolsTotal(true)+SymbolName(1,true));
   Say("spec",DoubleToString(MarketInfo("EURUSD",MODE_POINT),5)+" "+DoubleToString(MarketInfo("USDJPY",MODE_DIGITS),0)+" "+DoubleToString(SymbolInfoDouble("EURUSD",SYMBOL_VOLUME_STEP),2));
   Say("currencies",SymbolInfoString("EURUSD",SYMBOL_CURRENCY_BASE)+SymbolInfoString("EURUSD",SYMBOL_CURRENCY_PROFIT));
   Say("account",(string)AccountNumber()+AccountServer()+AccountCurrency()+(string)AccountLeverage()+(string)IsDemo());
   Say("balance",DoubleToString(AccountBalance(),2)+"/"+DoubleToString(AccountFreeMargin(),2));
   Say("check_margin",DoubleToString(AccountFreeMarginCheck("EURUSD",OP_BUY,1.0),2));
   Say("build",(string)TerminalInfoInteger(TERMINAL_BUILD)+(string)MQLInfoInteger(MQL_TESTER));
   MqlTick tick;
   bool known=SymbolInfoTick("EURUSD",tick);
   Say("tick",(string)known+DoubleToString(tick.bid,5));
  }

void OnStart()
  {
   Strings();
   Conversions();
   Hashes();
   Times();
   Errors();
   Globals();
   Files();
   Market();
  }
//+------------------------------------------------------------------+
