// Ends the process when a handler hangs: no test waits for a terminal that will never answer.
#pragma once

namespace terminal {

void arm_watchdog(const char *handler, long seconds);
void disarm_watchdog();
void give_watchdog(long ms);  // a broker's answer may take so long: that is no hang of the program

}  // namespace terminal
