// The EA in its terminal: loading, the event queue, the timer, and its end.
//
// docs.mql4.com/runtime/event_fire and /runtime/running: one thread; at most one Timer and one
// NewTick event wait; none is queued while one of its kind is handled.
#pragma once
#include <string>

#include "runtime/program.hpp"

namespace terminal {

// docs.mql4.com/constants/namedconstants/uninit
enum Reason {
  REASON_OF_PROGRAM = 0,
  REASON_OF_REMOVE = 1,
  REASON_OF_CHART_CHANGE = 3,
  REASON_OF_PARAMETERS = 5,
  REASON_OF_ACCOUNT = 6,
  REASON_OF_INIT_FAILED = 8,
  REASON_OF_CLOSE = 9
};

class Program {
 public:
  void load();  // finds the handlers
  // Runs OnInit (or a script's OnStart); returns its code, -1 if it stopped by a critical error.
  int init();
  void deinit(int reason);
  void run_due_events();
  long next_event_us() const;  // of the real clock; far away if none is due

  void set_timer(long ms);
  void kill_timer() { period_us_ = 0; }
  void set_granularity(long ms) { granularity_us_ = ms * 1000; }
  void queue_tick() { tick_waits_ = true; }
  void remove() { removed_ = true; }

  bool running() const { return running_; }
  bool stopping() const;
  int reason() const { return reason_; }
  const std::string &chart() const { return chart_; }
  void set_chart(const std::string &symbol) { chart_ = symbol; }
  const std::string &name() const { return name_; }
  void set_name(const std::string &name) { name_ = name; }

 private:
  MqlHooks hooks_;
  std::string chart_;
  std::string name_ = "BridgeEA";
  bool running_ = false;
  bool removed_ = false;
  bool ending_ = false;
  bool tick_waits_ = false;
  int reason_ = 0;
  long period_us_ = 0;
  long next_timer_us_ = 0;
  long granularity_us_ = 16'000;  // hardware gives 10 to 16 ms (mql5.com, EventSetMillisecondTimer)

  template <class Handler>
  bool guarded(const char *name, long longest_ms, const Handler &handler);
  void check_leaks() const;
};

Program &program();

}  // namespace terminal
