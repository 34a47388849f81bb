#include "zmq_handles.hpp"

#include <zmq.h>

#include <cstdio>
#include <map>

#include "report.hpp"
#include "zmq_table.hpp"

namespace terminal {
namespace {

constexpr int STEP = 0x20;
std::map<int, ZmqHandle> handles;
int last_handle = 0x00A10010;  // as the heap of a 32-bit process might give

}  // namespace

ZmqLibrary &zmq_library() {
  static ZmqLibrary one;
  return one;
}

int zmq_remember(void *pointer, int context) {
  if (pointer == nullptr) return 0;
  handles[last_handle += STEP] = ZmqHandle{pointer, context, -1};
  return last_handle;
}

ZmqHandle *zmq_lookup(int handle, bool socket, const char *function) {
  const auto found = handles.find(handle);
  if (found != handles.end() && (found->second.context != 0) == socket) return &found->second;
  char text[96];
  std::snprintf(text, sizeof text, "%s on handle 0x%08X: dead or foreign, an access violation",
                function, static_cast<unsigned>(handle));
  violation(text);
  return nullptr;
}

void zmq_forget(int handle) { handles.erase(handle); }

int zmq_sockets_of(int context) {
  int open = 0;
  for (const auto &[handle, held] : handles) open += held.context == context;
  return open;
}

int zmq_open_sockets() {
  int open = 0;
  for (const auto &[handle, held] : handles) open += held.context != 0;
  return open;
}

std::vector<std::string> zmq_leaks() {
  std::vector<std::string> leaks;
  for (const auto &[handle, held] : handles)
    leaks.push_back(held.context ? "a ZeroMQ socket" : "a ZeroMQ context");
  return leaks;
}

}  // namespace terminal
