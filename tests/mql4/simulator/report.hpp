// What the terminal tells its driver: one JSON object a line on standard output.
#pragma once
#include <string>

#include "json.hpp"

namespace terminal {

// Writes one line with the member "event" first.
void report(const std::string &event, const Json &members = {});

// Something that would crash, hang or mislead a terminal, or that its documentation forbids. The
// EA goes on; the run fails at its end.
void violation(const std::string &what);

int violations();

}  // namespace terminal
