//+------------------------------------------------------------------+
//| Rude.mq4 - commits one sin, chosen by an input: each would crash,|
//| hang or mislead a real terminal, and the harness must say so.    |
//+------------------------------------------------------------------+
#property strict

#define ZMQ_DEALER 5
#define ZMQ_LINGER 17
#define ZMQ_RCVTIMEO 27
#define ZMQ_DONTWAIT 1

#import "libzmq.dll"
int zmq_ctx_new();
int zmq_ctx_term(int context);
int zmq_socket(int context,int type);
int zmq_close(int socket);
int zmq_connect(int socket,const uchar &address[]);
int zmq_setsockopt(int socket,int option,const uchar &value[],int length);
int zmq_send(int socket,const uchar &data[],int length,int flags);
int zmq_recv(int socket,uchar &data[],int length,int flags);
int zmq_getsockopt(int socket,int option,int &value,int &length);
#import

input string Sin="";

int g_context=0;
int g_socket=0;
uchar g_data[16];
int g_never=0;

void SetOption(int option,int number)
  {
   uchar value[4];
   for(int i=0; i<4; i++)
      value[i]=(uchar)((number>>(8*i))&255);
   if(zmq_setsockopt(g_socket,option,value,4)!=0)
      Print("option refused");
  }

int OnInit()
  {
   g_context=zmq_ctx_new();
   g_socket=zmq_socket(g_context,ZMQ_DEALER);
   SetOption(ZMQ_LINGER,Sin=="linger" ? 1000 : 0);
   SetOption(ZMQ_RCVTIMEO,Sin=="long_wait" ? 260 : 20);
   EventSetMillisecondTimer(1);
   return(INIT_SUCCEEDED);
  }

void OnTimer()
  {
   EventKillTimer();
   Commit();
   Print("committed");
  }

void Commit()
  {
   if(Sin=="recv_past_array")
      zmq_recv(g_socket,g_data,17,ZMQ_DONTWAIT);
   if(Sin=="send_past_array")
      zmq_send(g_socket,g_data,17,ZMQ_DONTWAIT);
   if(Sin=="send_blocking")
      zmq_send(g_socket,g_data,1,0);
   if(Sin=="option_past_array")
      zmq_setsockopt(g_socket,ZMQ_LINGER,g_data,64);
   if(Sin=="option_past_variable")
     {
      int value=0;
      int length=8;
      zmq_getsockopt(g_socket,ZMQ_LINGER,value,length);
     }
   if(Sin=="long_wait")
      zmq_recv(g_socket,g_data,16,0);
   if(Sin=="unterminated")
     {
      ArrayInitialize(g_data,65);
      zmq_connect(g_socket,g_data);
     }
   if(Sin=="dead_handle")
     {
      zmq_close(g_socket);
      zmq_recv(g_socket,g_data,16,ZMQ_DONTWAIT);
      g_socket=0;
     }
   if(Sin=="context_as_socket")
      zmq_recv(g_context,g_data,16,ZMQ_DONTWAIT);
   if(Sin=="term_with_open_socket")
      zmq_ctx_term(g_context);
   if(Sin=="busy")
      Burn();
   if(Sin=="sleepy")
      Sleep(3100);
   if(Sin=="no_select")
      Print(OrderTicket());
   if(Sin=="long_comment")
      Send("12345678901234567890123456789012");
   if(Sin=="hash_nothing")
      HashNothing();
   if(Sin=="outside_sandbox")
      Print(FileIsExist("..\\secret.txt"));
   if(Sin=="substr_zero")
      Print(StringSubstr("abc",1,g_never));
   if(Sin=="character_outside")
      Print(StringGetCharacter("abc",3));
   if(Sin=="closed_file")
      FileFlush(77);
   if(Sin=="file_left_open")
      Print(FileOpen("left.bin",FILE_WRITE|FILE_BIN));
   if(Sin=="overflow")
      Print(2147483647+(g_never+1));
   if(Sin=="out_of_range")
      g_data[16+g_never]=1;
   if(Sin=="zero_divide")
      Print(1/g_never);
  }

void Burn()
  {
   double sum=0;
   uint began=GetTickCount();
   while(GetTickCount()-began<3000)
      for(int i=0; i<1000; i++)
         sum+=MathSqrt(i);
   Print(sum);
  }

void Send(string comment)
  {
   int ticket=OrderSend("EURUSD",OP_BUY,0.1,MarketInfo("EURUSD",MODE_ASK),10,0,0,comment,1);
   Print(ticket);
  }

void HashNothing()
  {
   uchar nothing[];
   uchar key[];
   uchar digest[];
   Print(CryptEncode(CRYPT_HASH_SHA256,nothing,key,digest));
  }

void OnDeinit(const int reason)
  {
   if(Sin=="leak")
      return;
   if(g_socket!=0)
      zmq_close(g_socket);
   if(g_context!=0 && Sin!="context_leak")
      zmq_ctx_term(g_context);
   if(Sin=="slow_goodbye")
      Sleep(2600);
  }
//+------------------------------------------------------------------+
