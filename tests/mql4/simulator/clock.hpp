// Three clocks that tests can move: the PC's wall clock, its monotonic clock, and the broker's.
//
// Truth is the machine's own time plus what `advance` added. The PC's wall clock may in addition be
// stepped away from it; the broker's clock is truth in the broker's time zone.
#pragma once

namespace terminal {

class Clock {
 public:
  long true_ms() const;    // UTC ms: what a judge goes by
  long wall_us() const;    // UTC us as the PC believes
  long mono_us() const;    // since the machine's start
  long server_ms() const;  // market time, ms: the broker's clock

  void advance(long ms) { advanced_ms_ += ms; }
  void step_wall(long ms) { stepped_ms_ += ms; }
  void step_mono(long ms) { mono_ms_ += ms; }
  void set_server_zone(long seconds) { zone_s_ = seconds; }

 private:
  long advanced_ms_ = 0;
  long stepped_ms_ = 0;
  long mono_ms_ = 0;
  long zone_s_ = 7200;
};

Clock &clock();

// CPU time of this thread, us: what a handler really used, whatever else the machine does.
long thread_cpu_us();

}  // namespace terminal
