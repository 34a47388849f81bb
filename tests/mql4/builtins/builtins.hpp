// builtins.hpp - the MQL4 built-in functions that a program may use here. What is not declared in
// these headers (or in runtime/) does not compile: the list is a whitelist that somebody has read.
#pragma once
#include "runtime/language.hpp"

#include "account.hpp"
#include "crypto.hpp"
#include "events.hpp"
#include "files.hpp"
#include "globals.hpp"
#include "math.hpp"
#include "orders.hpp"
#include "strings.hpp"
#include "symbols.hpp"
#include "terminal.hpp"
#include "times.hpp"
