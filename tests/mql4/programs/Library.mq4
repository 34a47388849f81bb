//+------------------------------------------------------------------+
//| Library.mq4 - a script: what the DLLs say of themselves          |
//+------------------------------------------------------------------+
#property strict

#define ZMQ_DEALER 5
#define ZMQ_LINGER 17
#define ZMQ_CURVE_SERVERKEY 50

#import "kernel32.dll"
void GetSystemTimeAsFileTime(uint &filetime[]);
#import

#import "libzmq.dll"
void zmq_version(int &major,int &minor,int &patch);
int zmq_has(const uchar &capability[]);
int zmq_ctx_new();
int zmq_ctx_term(int context);
int zmq_socket(int context,int type);
int zmq_close(int socket);
int zmq_setsockopt(int socket,int option,const uchar &value[],int length);
int zmq_curve_public(uchar &public_key[],const uchar &secret_key[]);
int zmq_errno();
#import

input string Secret="";

void OnStart()
  {
   int major=0;
   int minor=0;
   int patch=0;
   zmq_version(major,minor,patch);
   Print("version ",major,".",minor,".",patch);
   uchar word[];
   StringToCharArray("curve",word,0,WHOLE_ARRAY,CP_UTF8);
   Print("curve ",zmq_has(word));
   uint filetime[2];
   GetSystemTimeAsFileTime(filetime);
   ulong hundreds=((ulong)filetime[1]<<32)+(ulong)filetime[0];
   Print("wall ",(long)(hundreds/10000)-11644473600000);
   Print("gmt ",(long)TimeGMT());
   Keys();
  }

void Keys()
  {
   uchar secret[];
   uchar public_key[41];
   ArrayInitialize(public_key,0);
   StringToCharArray(Secret,secret,0,WHOLE_ARRAY,CP_UTF8);
   int result=zmq_curve_public(public_key,secret);
   Print("public ",result," ",CharArrayToString(public_key,0,WHOLE_ARRAY,CP_UTF8));
   int context=zmq_ctx_new();
   int socket=zmq_socket(context,ZMQ_DEALER);
   uchar zero[4]={0,0,0,0};
   zmq_setsockopt(socket,ZMQ_LINGER,zero,4);
   result=zmq_setsockopt(socket,ZMQ_CURVE_SERVERKEY,public_key,41);
   Print("key ",result);
   zmq_close(socket);
   zmq_ctx_term(context);
  }
//+------------------------------------------------------------------+
