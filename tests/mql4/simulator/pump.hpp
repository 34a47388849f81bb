// Waiting: whatever waits in the terminal (idle, Sleep, a broker call, a blocking receive) goes on
// serving the control commands and moving the market.
#pragma once

namespace terminal {

// Serves until `until_us` of the monotonic clock as the machine keeps it, or until `socket` (a
// ZeroMQ socket, or null) can be read. Returns whether the socket can.
bool wait_until(long until_us, void *socket);

// Idle: serves until an event of the program is due or a deferred command waits.
void wait_for_event();

void wait_for_broker(long ms);  // a trading call, or a disk, that takes so long
void wait_in_sleep(long ms);    // docs.mql4.com/common/sleep

// A control command that must not run inside a handler is waiting: handlers had better end.
bool work_is_waiting();

// The machine's monotonic time, us, untouched by `advance`: waits are real.
long real_us();

// Handler time, us, since the handler began: CPU and waiting, without broker calls and Sleep. CPU
// time counts by the part that it takes where the program is not `slower` by so many times.
void start_stopwatch();
long stopwatch_us(long slower);
long slept_us();  // what the handler spent in Sleep

// When the program was given the first frame of its last message, us of real_us(); 0: never.
void message_began();
long message_us();

}  // namespace terminal
