// libzmq.dll as a 32-bit program sees it: every pointer is an int that may be stale.
#pragma once
#include <string>
#include <vector>

namespace terminal {

// What the DLL says of itself; tests lower it.
struct ZmqLibrary {
  int major = 4;
  int minor = 3;
  int patch = 4;
  bool curve = true;
};
ZmqLibrary &zmq_library();

int zmq_open_sockets();
std::vector<std::string> zmq_leaks();  // one line for each handle that is open

}  // namespace terminal
