//+-------------------------------------------------------------------+
//| Zmq.mqh: libzmq.dll and the one DEALER socket of the EA           |
//|                                                                   |
//| The terminal is a 32-bit process: context and socket are plain    |
//| ints. libzmq exports cdecl while the terminal calls stdcall; only |
//| functions with int and pointer arguments are used, nothing        |
//| variadic and nothing by value, which is safe either way. Options  |
//| go as byte arrays: a literal cannot be passed to `const int &`.   |
//+-------------------------------------------------------------------+
#property strict

// zmq.h of libzmq 4.3.4
#define ZMQ_DEALER        5
#define ZMQ_RCVMORE       13
#define ZMQ_LINGER        17
#define ZMQ_RECONNECT_IVL 18
#define ZMQ_RECONNECT_MAX 21
#define ZMQ_MAXMSGSIZE    22
#define ZMQ_SNDHWM        23
#define ZMQ_RCVHWM        24
#define ZMQ_RCVTIMEO      27
#define ZMQ_IMMEDIATE     39
#define ZMQ_CURVE_PUBLIC  48
#define ZMQ_CURVE_SECRET  49
#define ZMQ_CURVE_SERVER  50
#define ZMQ_HANDSHAKE_IVL 66
#define ZMQ_DONTWAIT      1
#define ZMQ_SNDMORE       2

#define ZMQ_LEAST_MAJOR   4
#define ZMQ_LEAST_MINOR   3
#define ZMQ_LEAST_PATCH   4
#define ZMQ_Z85_KEY_CHARS 40

// protocol.md 14: what the EA's DEALER takes and how long it queues
#define ZMQ_FRAME_BYTES_MAX 8192
#define ZMQ_RECEIVE_QUEUE   64
#define ZMQ_SEND_QUEUE      1000
#define ZMQ_RECONNECT_MS    100
#define ZMQ_RECONNECT_TOP   1000
#define ZMQ_HANDSHAKE_MS    1500

#import "libzmq.dll"
void zmq_version(int &major, int &minor, int &patch);
int zmq_has(const uchar &capability[]);
int zmq_ctx_new();
int zmq_ctx_shutdown(int context);
int zmq_ctx_term(int context);
int zmq_socket(int context, int type);
int zmq_close(int socket);
int zmq_connect(int socket, const uchar &endpoint[]);
int zmq_setsockopt(int socket, int option, const uchar &value[], int length);
int zmq_getsockopt(int socket, int option, int &value, int &length);
int zmq_send(int socket, const uchar &data[], int length, int flags);
int zmq_recv(int socket, uchar &data[], int length, int flags);
int zmq_errno();
#import

class CZmqDealer {
private:
   int m_context;
   int m_socket;
   int m_errno;
   int m_timeout;
   uchar m_buffer[ZMQ_FRAME_BYTES_MAX];

   void Text(string text, const bool ended, uchar &out[]) const;
   bool SetNumber(const int option, const int value, const int bytes);
   bool SetKey(const int option, string key);
   bool SetAll(void);

public:
   CZmqDealer(void);
   static string Version(void);
   static bool NewEnough(void);
   bool HasCurve(void) const;
   bool IsOpen(void) const { return(m_socket != 0); }
   int Errno(void) const { return(m_errno); }
   bool Open(string endpoint, string server_public, string own_public, string own_secret);
   bool Wait(const int milliseconds);
   bool Send(const uchar &data[], const int length, const bool more);
   int Receive(uchar &frame[], const bool wait);
   bool More(void);
   void Close(void);
};

CZmqDealer::CZmqDealer(void) {
   m_context = 0;
   m_socket = 0;
   m_errno = 0;
   m_timeout = -1;
}

//--- the text's bytes, with the 0 that C wants where `ended`
void CZmqDealer::Text(string text, const bool ended, uchar &out[]) const {
   int chars = StringLen(text);
   ArrayResize(out, chars + (ended ? 1 : 0));
   for(int i = 0; i < chars; i++) out[i] = (uchar)StringGetCharacter(text, i);
   if(ended) out[chars] = 0;
}

string CZmqDealer::Version(void) {
   int major = 0, minor = 0, patch = 0;
   zmq_version(major, minor, patch);
   return(IntegerToString(major) + "." + IntegerToString(minor) + "." + IntegerToString(patch));
}

//--- older ones have known holes in what this link relies on
bool CZmqDealer::NewEnough(void) {
   int major = 0, minor = 0, patch = 0;
   zmq_version(major, minor, patch);
   if(major != ZMQ_LEAST_MAJOR) return(major > ZMQ_LEAST_MAJOR);
   if(minor != ZMQ_LEAST_MINOR) return(minor > ZMQ_LEAST_MINOR);
   return(patch >= ZMQ_LEAST_PATCH);
}

bool CZmqDealer::HasCurve(void) const {
   uchar capability[];
   Text("curve", true, capability);
   return(zmq_has(capability) == 1);
}

//--- a number as the machine's own bytes: 4 for an int, 8 for MAXMSGSIZE
bool CZmqDealer::SetNumber(const int option, const int value, const int bytes) {
   uchar raw[];
   ArrayResize(raw, bytes);
   for(int i = 0; i < bytes; i++) {
      int shift = i < 4 ? 8 * i : 31;  // beyond the int: its sign
      raw[i] = (uchar)((value >> shift) & 0xFF);
   }
   return(zmq_setsockopt(m_socket, option, raw, bytes) == 0);
}

bool CZmqDealer::SetKey(const int option, string key) {
   uchar raw[];
   if(StringLen(key) != ZMQ_Z85_KEY_CHARS) return(false);
   Text(key, true, raw);
   bool done = (zmq_setsockopt(m_socket, option, raw, ZMQ_Z85_KEY_CHARS + 1) == 0);
   ArrayInitialize(raw, 0);
   return(done);
}

//--- protocol.md 14; LINGER first: whatever fails later, closing never blocks
bool CZmqDealer::SetAll(void) {
   return(SetNumber(ZMQ_LINGER, 0, 4) && SetNumber(ZMQ_IMMEDIATE, 1, 4)
           && SetNumber(ZMQ_RCVHWM, ZMQ_RECEIVE_QUEUE, 4)
           && SetNumber(ZMQ_SNDHWM, ZMQ_SEND_QUEUE, 4)
           && SetNumber(ZMQ_MAXMSGSIZE, ZMQ_FRAME_BYTES_MAX, 8)
           && SetNumber(ZMQ_RECONNECT_IVL, ZMQ_RECONNECT_MS, 4)
           && SetNumber(ZMQ_RECONNECT_MAX, ZMQ_RECONNECT_TOP, 4)
           && SetNumber(ZMQ_HANDSHAKE_IVL, ZMQ_HANDSHAKE_MS, 4));
}

//--- connects (in the background); false leaves nothing open, Errno() says why
bool CZmqDealer::Open(string endpoint, string server_public, string own_public, string own_secret) {
   Close();
   m_context = zmq_ctx_new();
   if(m_context != 0) m_socket = zmq_socket(m_context, ZMQ_DEALER);
   uchar address[];
   Text(endpoint, true, address);
   if(m_socket != 0 && SetAll() && SetKey(ZMQ_CURVE_SERVER, server_public)
      && SetKey(ZMQ_CURVE_PUBLIC, own_public) && SetKey(ZMQ_CURVE_SECRET, own_secret)
      && zmq_connect(m_socket, address) == 0)
      return(true);
   m_errno = zmq_errno();
   Close();
   return(false);
}

//--- how long Receive(frame,true) waits for the first frame of a message
bool CZmqDealer::Wait(const int milliseconds) {
   if(m_socket == 0) return(false);
   if(milliseconds == m_timeout) return(true);
   if(!SetNumber(ZMQ_RCVTIMEO, milliseconds, 4)) return(false);
   m_timeout = milliseconds;
   return(true);
}

//--- one frame, never waiting; false: not sent (no connection, or the queue is full)
bool CZmqDealer::Send(const uchar &data[], const int length, const bool more) {
   if(m_socket == 0) return(false);
   int flags = ZMQ_DONTWAIT;
   if(more) flags |= ZMQ_SNDMORE;
   if(zmq_send(m_socket, data, length, flags) == length) return(true);
   m_errno = zmq_errno();
   return(false);
}

//--- the frame's size; -1: none came; more than ZMQ_FRAME_BYTES_MAX: cut, to be thrown away
int CZmqDealer::Receive(uchar &frame[], const bool wait) {
   ArrayResize(frame, 0);
   if(m_socket == 0) return(-1);
   int flags = wait ? 0 : ZMQ_DONTWAIT;
   int size = zmq_recv(m_socket, m_buffer, ZMQ_FRAME_BYTES_MAX, flags);
   if(size < 0) {
      m_errno = zmq_errno();
      return(-1);
   }
   int kept = size;
   if(kept > ZMQ_FRAME_BYTES_MAX) kept = ZMQ_FRAME_BYTES_MAX;
   ArrayResize(frame, kept);
   if(kept > 0) ArrayCopy(frame, m_buffer, 0, 0, kept);
   return(size);
}

bool CZmqDealer::More(void) {
   int more = 0, length = 4;
   if(m_socket == 0 || zmq_getsockopt(m_socket, ZMQ_RCVMORE, more, length) != 0) return(false);
   return(more != 0);
}

//--- may be called at any time and again; with LINGER 0 and the socket closed nothing here blocks
void CZmqDealer::Close(void) {
   m_timeout = -1;
   int failed = 0;
   if(m_socket != 0 && zmq_close(m_socket) != 0) failed = zmq_errno();
   m_socket = 0;
   if(m_context != 0 && zmq_ctx_shutdown(m_context) != 0) failed = zmq_errno();
   if(m_context != 0 && zmq_ctx_term(m_context) != 0) failed = zmq_errno();
   m_context = 0;
   if(failed != 0) m_errno = failed;
}
//+-------------------------------------------------------------------+
