// The shim's table of handles.
#pragma once

namespace terminal {

struct ZmqHandle {
  void *pointer = nullptr;
  int context = 0;         // a socket's context handle; 0: it is a context
  int receive_ms = -1;     // RCVTIMEO as the program set it; -1: for ever
};

int zmq_remember(void *pointer, int context);  // 0 for a null pointer
// Reports a violation and returns null if the handle is not alive or of the other kind.
ZmqHandle *zmq_lookup(int handle, bool socket, const char *function);
void zmq_forget(int handle);
int zmq_sockets_of(int context);

}  // namespace terminal
