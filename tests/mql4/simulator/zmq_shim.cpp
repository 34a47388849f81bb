// libzmq.dll for translated programs, on the real libzmq (api.zeromq.org/4-3).
//
// Each function first checks what would crash or hang a terminal, reports it as a violation, and
// then refuses to do it, so that the run goes on and says everything it has to say.
#include <zmq.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "faults.hpp"
#include "pump.hpp"
#include "report.hpp"
#include "runtime/array.hpp"
#include "zmq_handles.hpp"
#include "zmq_table.hpp"

namespace {

using terminal::faults;
using terminal::Moment;
using terminal::violation;
using terminal::zmq_lookup;

constexpr int LONGEST_WAIT_MS = 250;
int last_error = 0;

int fail(int error) {
  last_error = error;
  return -1;
}

int result_of(int result) {
  if (result < 0) last_error = errno;
  return result;
}

void *context_of(int handle, const char *function) {
  terminal::ZmqHandle *held = zmq_lookup(handle, false, function);
  return held ? held->pointer : nullptr;
}

void *socket_of(int handle, const char *function) {
  terminal::ZmqHandle *held = zmq_lookup(handle, true, function);
  return held ? held->pointer : nullptr;
}

bool fits(MqlBuf buffer, int length, const char *function, const char *what) {
  if (length >= 0 && static_cast<size_t>(length) <= buffer.bytes) return true;
  violation(std::string(function) + " " + what + " past the array: length " +
            std::to_string(length) + " of " + std::to_string(buffer.bytes));
  return false;
}

// A C string inside an array; null, and a violation, if nothing ends it.
const char *text_of(MqlBuf buffer, const char *function) {
  if (buffer.bytes && std::memchr(buffer.p, 0, buffer.bytes))
    return static_cast<const char *>(buffer.p);
  violation(std::string(function) + ": text without a terminating 0");
  return nullptr;
}

void note_frame(void *socket) {
  static bool within = false;  // the program has the one socket that receives messages
  int more = 0;
  size_t size = sizeof more;
  if (!within) terminal::message_began();
  within = zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more;
}

bool sets_a_curve_key(int option) {
  return option == ZMQ_CURVE_PUBLICKEY || option == ZMQ_CURVE_SECRETKEY ||
         option == ZMQ_CURVE_SERVERKEY || option == ZMQ_CURVE_SERVER;
}

int set_option(int socket, int option, const void *value, size_t length) {
  terminal::ZmqHandle *held = zmq_lookup(socket, true, "zmq_setsockopt");
  if (held == nullptr) return fail(ENOTSOCK);
  if (sets_a_curve_key(option) && !terminal::zmq_library().curve) return fail(EINVAL);
  const int result = result_of(zmq_setsockopt(held->pointer, option, value, length));
  if (result == 0 && option == ZMQ_RCVTIMEO && length == sizeof(int))
    std::memcpy(&held->receive_ms, value, sizeof(int));
  return result;
}

int get_option(int socket, int option, void *value, size_t room, int *length) {
  void *pointer = socket_of(socket, "zmq_getsockopt");
  if (pointer == nullptr) return fail(ENOTSOCK);
  if (*length < 0 || static_cast<size_t>(*length) > room) {
    violation("zmq_getsockopt writes past the variable: length " + std::to_string(*length));
    return fail(EINVAL);
  }
  size_t size = static_cast<size_t>(*length);
  const int result = result_of(zmq_getsockopt(pointer, option, value, &size));
  *length = static_cast<int>(size);
  return result;
}

int address_call(int (*function)(void *, const char *), int socket, MqlBuf address,
                 const char *name) {
  void *pointer = socket_of(socket, name);
  if (pointer == nullptr) return fail(ENOTSOCK);
  const char *text = text_of(address, name);
  return text ? result_of(function(pointer, text)) : fail(EINVAL);
}

}  // namespace

extern "C" {

int mqldll_libzmq__zmq_ctx_new() { return terminal::zmq_remember(zmq_ctx_new(), 0); }

int mqldll_libzmq__zmq_ctx_set(int context, int option, int value) {
  void *pointer = context_of(context, "zmq_ctx_set");
  return pointer ? result_of(zmq_ctx_set(pointer, option, value)) : fail(EFAULT);
}

int mqldll_libzmq__zmq_ctx_shutdown(int context) {
  void *pointer = context_of(context, "zmq_ctx_shutdown");
  return pointer ? result_of(zmq_ctx_shutdown(pointer)) : fail(EFAULT);
}

int mqldll_libzmq__zmq_ctx_term(int context) {
  void *pointer = context_of(context, "zmq_ctx_term");
  if (pointer == nullptr) return fail(EFAULT);
  if (const int open = terminal::zmq_sockets_of(context)) {
    violation("zmq_ctx_term with " + std::to_string(open) + " sockets open blocks for ever");
    return fail(EINTR);
  }
  terminal::zmq_forget(context);
  return result_of(zmq_ctx_term(pointer));
}

int mqldll_libzmq__zmq_socket(int context, int type) {
  void *pointer = context_of(context, "zmq_socket");
  if (pointer == nullptr) return 0;
  void *socket = zmq_socket(pointer, type);
  if (socket == nullptr) last_error = errno;
  return terminal::zmq_remember(socket, context);
}

int mqldll_libzmq__zmq_close(int socket) {
  void *pointer = socket_of(socket, "zmq_close");
  if (pointer == nullptr) return fail(ENOTSOCK);
  int linger = 0;
  size_t size = sizeof linger;
  zmq_getsockopt(pointer, ZMQ_LINGER, &linger, &size);
  if (linger != 0) {
    violation("zmq_close with ZMQ_LINGER " + std::to_string(linger) + ": zmq_ctx_term may block");
    linger = 0;
    zmq_setsockopt(pointer, ZMQ_LINGER, &linger, sizeof linger);
  }
  terminal::zmq_forget(socket);
  return result_of(zmq_close(pointer));
}

int mqldll_libzmq__zmq_bind(int socket, MqlBuf address) {
  return address_call(zmq_bind, socket, address, "zmq_bind");
}
int mqldll_libzmq__zmq_unbind(int socket, MqlBuf address) {
  return address_call(zmq_unbind, socket, address, "zmq_unbind");
}
int mqldll_libzmq__zmq_connect(int socket, MqlBuf address) {
  return address_call(zmq_connect, socket, address, "zmq_connect");
}
int mqldll_libzmq__zmq_disconnect(int socket, MqlBuf address) {
  return address_call(zmq_disconnect, socket, address, "zmq_disconnect");
}

int mqldll_libzmq__zmq_setsockopt(int socket, int option, MqlBuf value, int length) {
  if (!fits(value, length, "zmq_setsockopt", "reads")) return fail(EINVAL);
  return set_option(socket, option, value.p, static_cast<size_t>(length));
}

int mqldll_libzmq__zmq_getsockopt(int socket, int option, int *value, int *length) {
  return get_option(socket, option, value, sizeof *value, length);
}

int mqldll_libzmq__zmq_send(int socket, MqlBuf data, int length, int flags) {
  void *pointer = socket_of(socket, "zmq_send");
  if (pointer == nullptr) return fail(ENOTSOCK);
  if (!fits(data, length, "zmq_send", "reads")) return fail(EFAULT);
  if (!(flags & ZMQ_DONTWAIT)) violation("zmq_send without ZMQ_DONTWAIT may block the terminal");
  faults().reach("zmq_send", Moment::before);
  const int sent =
      result_of(zmq_send(pointer, data.p, static_cast<size_t>(length), flags | ZMQ_DONTWAIT));
  faults().reach("zmq_send", Moment::inside);
  faults().reach("zmq_send", Moment::after);
  return sent;
}

int mqldll_libzmq__zmq_recv(int socket, MqlBuf data, int length, int flags) {
  terminal::ZmqHandle *held = zmq_lookup(socket, true, "zmq_recv");
  if (held == nullptr) return fail(ENOTSOCK);
  if (!fits(data, length, "zmq_recv", "writes")) return fail(EFAULT);
  void *pointer = held->pointer;
  if (!(flags & ZMQ_DONTWAIT)) {
    if (held->receive_ms < 0 || held->receive_ms > LONGEST_WAIT_MS)
      violation("zmq_recv may block the terminal: set ZMQ_RCVTIMEO to at most 250 ms");
    const int wait = held->receive_ms < 0 ? LONGEST_WAIT_MS : held->receive_ms;
    terminal::wait_until(terminal::real_us() + wait * 1000L, pointer);
  }
  const int got =
      result_of(zmq_recv(pointer, data.p, static_cast<size_t>(length), flags | ZMQ_DONTWAIT));
  if (got >= 0) {
    note_frame(pointer);
    faults().reach("zmq_recv", Moment::after);
  }
  return got;
}

int mqldll_libzmq__zmq_errno() { return last_error; }

void mqldll_libzmq__zmq_version(int *major, int *minor, int *patch) {
  const terminal::ZmqLibrary &library = terminal::zmq_library();
  *major = library.major;
  *minor = library.minor;
  *patch = library.patch;
}

int mqldll_libzmq__zmq_has(MqlBuf capability) {
  const char *text = text_of(capability, "zmq_has");
  if (text == nullptr) return 0;
  if (std::strcmp(text, "curve") == 0 && !terminal::zmq_library().curve) return 0;
  return zmq_has(text);
}

int mqldll_libzmq__zmq_curve_public(MqlBuf public_key, MqlBuf secret_key) {
  constexpr int KEY_TEXT = 41;  // 40 characters of Z85 and a 0
  if (!fits(public_key, KEY_TEXT, "zmq_curve_public", "writes")) return fail(EFAULT);
  const char *secret = text_of(secret_key, "zmq_curve_public");
  return secret ? result_of(zmq_curve_public(static_cast<char *>(public_key.p), secret))
                : fail(EINVAL);
}

}  // extern "C"
