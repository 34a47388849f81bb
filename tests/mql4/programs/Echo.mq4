//+------------------------------------------------------------------+
//| Echo.mq4 - the smallest EA with a link: a DEALER that echoes     |
//+------------------------------------------------------------------+
#property strict

#define ZMQ_DEALER 5
#define ZMQ_LINGER 17
#define ZMQ_RCVTIMEO 27
#define ZMQ_DONTWAIT 1

#import "libzmq.dll"
int zmq_ctx_new();
int zmq_ctx_shutdown(int context);
int zmq_ctx_term(int context);
int zmq_socket(int context,int type);
int zmq_close(int socket);
int zmq_connect(int socket,const uchar &address[]);
int zmq_setsockopt(int socket,int option,const uchar &value[],int length);
int zmq_send(int socket,const uchar &data[],int length,int flags);
int zmq_recv(int socket,uchar &data[],int length,int flags);
int zmq_errno();
#import

input string Endpoint="tcp://127.0.0.1:9999";

int g_context=0;
int g_socket=0;
uchar g_buffer[4096];

void SetOption(int option,int number)
  {
   uchar value[4];
   for(int i=0; i<4; i++)
      value[i]=(uchar)((number>>(8*i))&255);
   if(zmq_setsockopt(g_socket,option,value,4)!=0)
      Print("setsockopt ",option," failed: ",zmq_errno());
  }

int OnInit()
  {
   uchar address[];
   StringToCharArray(Endpoint,address,0,WHOLE_ARRAY,CP_UTF8);
   g_context=zmq_ctx_new();
   g_socket=zmq_socket(g_context,ZMQ_DEALER);
   SetOption(ZMQ_LINGER,0);
   SetOption(ZMQ_RCVTIMEO,50);
   if(zmq_connect(g_socket,address)!=0)
      return(INIT_FAILED);
   uchar hello[5]={104,101,108,108,111};
   if(zmq_send(g_socket,hello,5,ZMQ_DONTWAIT)<0)
      Print("hello not sent: ",zmq_errno());
   EventSetMillisecondTimer(10);
   Print("connected");
   return(INIT_SUCCEEDED);
  }

void OnDeinit(const int reason)
  {
   EventKillTimer();
   if(g_socket!=0)
      zmq_close(g_socket);
   if(g_context!=0)
     {
      zmq_ctx_shutdown(g_context);
      zmq_ctx_term(g_context);
     }
   g_socket=0;
   g_context=0;
   Print("bye ",reason);
  }

void OnTimer()
  {
   int length=zmq_recv(g_socket,g_buffer,ArraySize(g_buffer),0);
   if(length<0)
      return;
   Print("echo ",length);
   if(zmq_send(g_socket,g_buffer,length,ZMQ_DONTWAIT)<0)
      Print("not sent: ",zmq_errno());
  }
//+------------------------------------------------------------------+
